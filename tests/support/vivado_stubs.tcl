# Stand-ins for the Vivado commands that build.tcl uses, and for no others: run by tclsh in place of Vivado.
#
#     tclsh vivado_stubs.tcl -mode batch -source build.tcl
#
# A lint, and no proof: it knows what the manuals say of names, options and properties, and nothing of what Vivado does
# with them. Unknown commands (Tcl's own apart), options, properties, values and objects are errors, as are files that
# are not there. What the script has built is written to stub_state.txt at the end, a key and a value on each line.
#
# Citations, and how far they were checked:
#   UG835   Vivado Design Suite Tcl Command Reference Guide. Pages are those of v2020.2, with whose syntax lines all options
#           below were compared, one by one. 2022.1 was not at hand as a whole; the manual has a page for each command.
#   UG912   Vivado Design Suite Properties Reference Guide: the page with the property's or the object's name, of 2022.1
#           (CLOCK), 2022.2 (SYNTH_CHECKPOINT_MODE) and 2025.2 (TIMING_PATH).
#   UG904   Vivado Design Suite User Guide: Implementation, 2020.2, "synth_design".
#   UG1118  Vivado Design Suite User Guide: Creating and Packaging Custom IP, 2025.2, "Inferring AXI Signals".
#   XD099   Vitis Tutorials: Hardware Acceleration, of 2022.2 (steps 1, 2), 2023.1 (step 3) and 2024.1 (step 5): the only
#           text of AMD's that was found to show the commands ipx::, by example.
#   PYNQ    scripts of AMD's repository Xilinx/PYNQ for this board, boards/Pynq-Z2; pynqz2.tcl is Vivado's own output.
#   usage   in no manual that was found; in several public scripts of others. Least certain of all.
#
# Environment: STUB_SETUP and STUB_HOLD (slacks in ns), STUB_FAIL (a command that fails as Vivado's do) and STUB_MESSAGE.

# name {options without a value} {options with one} {fewest and most other arguments} citation
set commands {
    create_project      {-force}            {-part}                         {2 2} "UG835 p. 343"
    close_project       {}                  {}                              {0 0} "UG835 p. 143"
    add_files           {-norecurse}        {}                              {1 1} "UG835 p. 44"
    update_compile_order {}                 {-fileset}                      {0 0} "UG835 p. 1763"
    current_fileset     {}                  {}                              {0 0} "UG835 p. 387"
    set_property        {}                  {-dict}                         {1 3} "UG835 p. 1682"
    get_property        {}                  {}                              {2 2} "UG835 p. 901"
    update_ip_catalog   {-rebuild}          {}                              {0 0} "UG835 p. 1772"
    create_bd_design    {}                  {}                              {1 1} "UG835 p. 227"
    create_bd_cell      {}                  {-type -vlnv}                   {1 1} "UG835 p. 224"
    create_bd_intf_port {}                  {-mode -vlnv}                   {1 1} "UG835 p. 233"
    connect_bd_intf_net {}                  {}                              {2 2} "UG835 p. 194"
    connect_bd_net      {}                  {}                              {2 2} "UG835 p. 196"
    get_bd_pins         {}                  {}                              {1 1} "UG835 p. 585"
    get_bd_intf_pins    {}                  {}                              {1 1} "UG835 p. 574"
    get_bd_intf_ports   {}                  {}                              {1 1} "UG835 p. 578"
    get_bd_addr_spaces  {}                  {}                              {1 1} "UG835 p. 559"
    get_bd_addr_segs    {}                  {}                              {1 1} "UG835 p. 555"
    assign_bd_address   {}                  {-offset -range -target_address_space} {1 1} "UG835 p. 112"
    validate_bd_design  {}                  {}                              {0 0} "UG835 p. 1794"
    save_bd_design      {}                  {}                              {0 0} "UG835 p. 1567"
    get_files           {}                  {}                              {1 1} "UG835 p. 691"
    generate_target     {}                  {}                              {2 2} "UG835 p. 552"
    make_wrapper        {-top -import}      {-fileset}                      {1 1} "UG835 p. 1059"
    synth_design        {}                  {-top -part}                    {0 0} "UG835 p. 1733; UG904: in projects too"
    get_clocks          {}                  {}                              {1 1} "UG835 p. 660"
    opt_design          {}                  {}                              {0 0} "UG835 p. 1105"
    place_design        {}                  {}                              {0 0} "UG835 p. 1124"
    phys_opt_design     {}                  {}                              {0 0} "UG835 p. 1114"
    route_design        {}                  {}                              {0 0} "UG835 p. 1539"
    report_timing_summary {}                {-file}                         {0 0} "UG835 p. 1462"
    report_utilization  {}                  {-file}                         {0 0} "UG835 p. 1470"
    report_drc          {}                  {-file}                         {0 0} "UG835 p. 1349"
    report_route_status {}                  {-file}                         {0 0} "UG835 p. 1433"
    get_timing_paths    {-setup -hold}      {-max_paths}                    {0 0} "UG835 p. 949"
    write_bitstream     {-force}            {}                              {1 1} "UG835 p. 1824"
    version             {-short}            {}                              {0 0} "UG835 p. 1806"
    ipx::package_project {-import_files}    {-root_dir -vendor -library -taxonomy -set_current} {0 0} "XD099 Step 1"
    ipx::current_core   {}                  {}                              {0 0} "XD099 Step 2"
    ipx::associate_bus_interfaces {}        {-busif -clock -reset}          {1 1} "XD099 Step 2"
    ipx::get_memory_maps {}                 {-of_objects}                   {1 1} "XD099 Step 3"
    ipx::get_address_blocks {}              {-of_objects}                   {1 1} "XD099 Step 3"
    ipx::add_register   {}                  {}                              {2 2} "XD099 Step 3"
    ipx::save_core      {}                  {}                              {1 1} "XD099 Step 5"
    ipx::get_bus_interfaces {}              {-of_objects}                   {1 1} "usage"
    ipx::get_bus_parameters {-quiet}        {-of_objects}                   {1 1} "usage"
    ipx::add_bus_parameter {}               {}                              {2 2} "usage"
    ipx::add_field      {}                  {}                              {2 2} "usage"
    ipx::create_xgui_files {}               {}                              {1 1} "usage"
    ipx::update_checksums {}                {}                              {1 1} "usage"
}

# class property {pattern of its value} citation. Names are compared without case: AMD's own scripts use both.
set properties {
    fileset     top                     {^\w+$}                     "PYNQ build_bitstream.tcl"
    fileset     ip_repo_paths           {.}                         "UG835 p. 1772, update_ip_catalog"
    file        synth_checkpoint_mode   {^(None|Singular|Hierarchical)$} "UG912, SYNTH_CHECKPOINT_MODE"
    clock       period                  {}                          "UG912, CLOCK"
    path        slack                   {}                          "UG912, TIMING_PATH"
    core        name                    {^\w+$}                     "usage"
    core        version                 {^\d+\.\d+$}                "usage"
    core        display_name            {.}                         "usage"
    parameter   value                   {.}                         "usage"
    block       range                   {^\d+$}                     "usage"
    register    description             {}                          "XD099 Step 3"
    register    address_offset          {^0x[0-9a-f]+$}             "XD099 Step 3"
    register    size                    {^32$}                      "XD099 Step 3"
    register    access                  {^(read-only|write-only|read-write)$} "usage; values of IEEE 1685"
    field       description             {}                          "usage"
    field       bit_offset              {^\d+$}                     "usage"
    field       bit_width               {^\d+$}                     "usage"
    field       access                  {^(read-only|write-only|read-write)$} "usage; values of IEEE 1685"
    cell        config.pcw_crystal_peripheral_freqmhz {^[\d.]+$}    "PYNQ pynqz2.tcl"
    cell        config.pcw_use_m_axi_gp0 {^[01]$}                   "PYNQ pynqz2.tcl"
    cell        config.pcw_en_clk0_port {^[01]$}                    "PYNQ pynqz2.tcl"
    cell        config.pcw_en_rst0_port {^[01]$}                    "PYNQ pynqz2.tcl"
    cell        config.pcw_fclk0_peripheral_clksrc {^IO PLL$}       "PYNQ pynqz2.tcl"
    cell        config.pcw_fpga0_peripheral_freqmhz {^[\d.]+$}      "PYNQ pynqz2.tcl"
}

# Cores of the catalogue, their interfaces and pins: {name direction}. PYNQ pynqz2.tcl and base.tcl.
set catalogue {
    xilinx.com:ip:processing_system7:5.5 {
        {DDR master xilinx.com:interface:ddrx_rtl:1.0} {FIXED_IO master xilinx.com:display_processing_system7:fixedio_rtl:1.0}
        {M_AXI_GP0 master AXI3 CONFIG.PCW_USE_M_AXI_GP0}
    } {
        {FCLK_CLK0 out CONFIG.PCW_EN_CLK0_PORT} {FCLK_RESET0_N out CONFIG.PCW_EN_RST0_PORT}
        {M_AXI_GP0_ACLK in CONFIG.PCW_USE_M_AXI_GP0}
    }
    xilinx.com:ip:proc_sys_reset:5.0 {} {
        {slowest_sync_clk in} {ext_reset_in in} {peripheral_aresetn out}
    }
}

# The packager infers an interface from ports PREFIX_SIGNAL (UG1118). Signals of an AXI3 slave: ARM IHI 0022E, chapter A2.
set axi3 {
    awid awaddr awlen awsize awburst awlock awcache awprot awvalid awready wid wdata wstrb wlast wvalid wready
    bid bresp bvalid bready arid araddr arlen arsize arburst arlock arcache arprot arvalid arready
    rid rdata rresp rlast rvalid rready
}

proc wrong {text} { return -code error "stub: $text" }
proc env {name default} { expr {[info exists ::env($name)] ? $::env($name) : $default} }

array set state {}
set log {}
# class:identity for objects of Vivado; what is set of them.
array set set_of {}

proc class_of {object} { lindex [split $object :] 0 }

proc need {class object} {
    if {[class_of $object] ne $class} { wrong "this needs a $class, not $object" }
    return $object
}

# ------------------------------------------------------------------------------------------------- what the commands do
array set project {}
set blocks {}
array set known {}

proc do_create_project {o a} {
    global project
    lassign $a name directory
    if {![dict exists $o -part]} { wrong "create_project without -part would take the part of the last project" }
    array unset project
    set project(name) $name
    set project(directory) $directory
    set project(part) [dict get $o -part]
    set project(files) {}
    set project(top) {}
    set project(repository) {}
    set ::state(part) $project(part)
    file mkdir $directory
}
proc do_close_project {o a} { open_project; array unset ::project }
proc open_project {} { if {![info exists ::project(name)]} { wrong "no project is open" } }
proc do_add_files {o a} {
    open_project
    foreach file [lindex $a 0] {
        if {![file isfile $file]} { wrong "$file does not exist" }
        lappend ::project(files) $file
    }
}
proc do_update_compile_order {o a} { open_project }
proc do_current_fileset {o a} { open_project; return fileset:sources_1 }

proc do_set_property {o a} {
    if {[dict exists $o -dict]} {
        if {[llength $a] != 1} { wrong "set_property -dict takes one object" }
        foreach {name value} [dict get $o -dict] { set_one $name $value [lindex $a 0] }
    } else {
        if {[llength $a] != 3} { wrong "set_property takes a name, a value and an object, not $a" }
        set_one {*}$a
    }
}
proc check_property {name object} {
    set class [class_of $object]
    foreach {of property pattern citation} $::properties {
        if {$of eq $class && $property eq [string tolower $name]} { return $pattern }
    }
    wrong "no property $name of a $class is known"
}
proc set_one {name value object} {
    set pattern [check_property $name $object]
    if {![regexp -- $pattern $value]} { wrong "property $name of $object cannot be $value" }
    set ::set_of($object,[string tolower $name]) $value
    if {$object eq "fileset:sources_1" && [string tolower $name] eq "ip_repo_paths"} {
        set ::project(repository) $value
    } elseif {$object eq "fileset:sources_1"} {
        set modules [list]
        foreach file $::project(files) { lappend modules [file rootname [file tail $file]] }
        if {$value ni $modules} { wrong "no file of the project has the module $value" }
        set ::project(top) $value
    }
}
proc do_get_property {o a} {
    lassign $a name object
    check_property $name $object
    if {![info exists ::set_of($object,[string tolower $name])]} { wrong "$object has no value of $name" }
    return $::set_of($object,[string tolower $name])
}

# The packager. Ports come from the Verilog itself.
proc do_ipx_package_project {o a} {
    open_project
    if {$::project(top) eq ""} { wrong "the project has no top module to package" }
    foreach file $::project(files) {
        set channel [open $file]
        set text [read $channel]
        close $channel
        if {[regexp "\nmodule $::project(top)\\((.*?)\\);" $text -> ports]} { break }
    }
    if {![info exists ports]} { wrong "no file has the module $::project(top)" }
    set ::ports [regexp -all -inline {\w+} $ports]
    foreach {option name} {-vendor vendor -library library -root_dir root_dir} {
        if {![dict exists $o $option]} { wrong "ipx::package_project needs $option here" }
        set ::core($name) [dict get $o $option]
    }
    file mkdir $::core(root_dir)
    set ::set_of(core:it,name) $::project(top)
    set ::set_of(core:it,version) 1.0
    return core:it
}
proc do_ipx_current_core {o a} { return core:it }
proc of {o class} { need $class [dict get $o -of_objects] }
proc do_ipx_get_bus_interfaces {o a} {
    of $o core
    foreach signal $::axi3 { if {"$a\_$signal" ni $::ports} { return {} } }
    return interface:$a
}
proc do_ipx_get_bus_parameters {o a} {
    of $o interface
    if {[info exists ::set_of(parameter:$a,value)]} { return parameter:$a }
    return {}
}
proc do_ipx_add_bus_parameter {o a} { need interface [lindex $a 1]; return parameter:[lindex $a 0] }
proc do_ipx_associate_bus_interfaces {o a} {
    need core [lindex $a 0]
    foreach option {-clock -reset} {
        if {[dict exists $o $option] && [dict get $o $option] ni $::ports} { wrong "there is no port [dict get $o $option]" }
    }
    foreach {option name} {-busif busif -reset reset} {
        if {[dict exists $o $option]} { set ::state(associated,[dict get $o $option]) [dict get $o -clock] }
    }
}
proc do_ipx_get_memory_maps {o a} { of $o core; return map:$a }
proc do_ipx_get_address_blocks {o a} { of $o map; if {$a eq "reg0"} { return block:reg0 } }
proc do_ipx_add_register {o a} {
    need block [lindex $a 1]
    lappend ::registers [lindex $a 0]
    return register:[lindex $a 0]
}
proc do_ipx_add_field {o a} {
    need register [lindex $a 1]
    set register [lindex [split [lindex $a 1] :] 1]
    lappend ::fields($register) [lindex $a 0]
    return field:$register/[lindex $a 0]
}
proc do_ipx_create_xgui_files {o a} { need core [lindex $a 0] }
proc do_ipx_update_checksums {o a} { need core [lindex $a 0] }
proc do_ipx_save_core {o a} {
    need core [lindex $a 0]
    close [open [file join $::core(root_dir) component.xml] w]
    set vlnv "$::core(vendor):$::core(library):$::set_of(core:it,name):$::set_of(core:it,version)"
    set ::packaged($::core(root_dir)) $vlnv
    set ::state(packaged) $vlnv
    set ::state(protocol) $::set_of(parameter:PROTOCOL,value)
}
proc do_update_ip_catalog {o a} {
    open_project
    set directory $::project(repository)
    if {![info exists ::packaged($directory)]} { wrong "$directory has no packaged block" }
    set vlnv $::packaged($directory)
    if {$vlnv ni [dict keys $::catalogue3]} {
        lappend ::catalogue $vlnv [list "s_axi slave $::state(protocol)"] {{aclk in} {aresetn in}}
        reindex
    }
}

# The block design.
proc reindex {} {
    set ::catalogue3 [dict create]
    foreach {vlnv interfaces pins} $::catalogue { dict set ::catalogue3 $vlnv [list $interfaces $pins] }
}
reindex
proc do_create_bd_design {o a} { open_project; set ::design $a }
proc in_design {} { if {![info exists ::design]} { wrong "no block design is open" } }
proc do_create_bd_cell {o a} {
    in_design
    set vlnv [dict get $o -vlnv]
    if {[dict get $o -type] ne "ip"} { wrong "only cells of type ip are known" }
    if {![dict exists $::catalogue3 $vlnv]} { wrong "the catalogue has no $vlnv" }
    set ::cells($a) $vlnv
    set ::state(cell,$a) $vlnv
    return cell:$a
}
proc do_create_bd_intf_port {o a} {
    in_design
    if {[dict get $o -mode] ne "Master"} { wrong "ports of the processing system's pads are masters" }
    set ::intf_ports($a) [dict get $o -vlnv]
    return intf_port:$a
}
proc enabled {cell condition} {
    expr {$condition eq "" || ([info exists ::set_of(cell:$cell,[string tolower $condition])]
        && $::set_of(cell:$cell,[string tolower $condition]))}
}
proc find_on_cell {kind path} {
    in_design
    lassign [split $path /] cell name
    if {![info exists ::cells($cell)]} { return {} }
    foreach entry [lindex [dict get $::catalogue3 $::cells($cell)] $kind] {
        set condition [lindex $entry [expr {$kind ? 2 : 3}]]
        if {[lindex $entry 0] eq $name && [enabled $cell $condition]} { return $entry }
    }
    return {}
}
proc do_get_bd_pins {o a} { if {[find_on_cell 1 [lindex $a 0]] ne ""} { return pin:[lindex $a 0] } }
proc do_get_bd_intf_pins {o a} { if {[find_on_cell 0 [lindex $a 0]] ne ""} { return intf_pin:[lindex $a 0] } }
proc do_get_bd_intf_ports {o a} { if {[info exists ::intf_ports([lindex $a 0])]} { return intf_port:[lindex $a 0] } }
proc do_connect_bd_net {o a} {
    set drivers 0
    foreach object $a {
        set path [string range [need pin $object] 4 end]
        incr drivers [expr {[lindex [find_on_cell 1 $path] 1] eq "out"}]
    }
    if {$drivers != 1} { wrong "a net needs one driver: $a" }
    lassign $a driver load
    set load [string range $load 4 end]
    if {[info exists ::state(net,$load)]} { wrong "$load is connected already" }
    set ::state(net,$load) [string range $driver 4 end]
}
proc do_connect_bd_intf_net {o a} {
    lassign $a first second
    need intf_pin $second
    set there [find_on_cell 0 [string range $second 9 end]]
    if {[class_of $first] eq "intf_port"} {
        set name [string range $first 10 end]
        if {$::intf_ports($name) ne [lindex $there 2]} { wrong "$first and $second are of different kinds" }
    } else {
        set here [find_on_cell 0 [string range [need intf_pin $first] 9 end]]
        if {[lindex $here 2] ne [lindex $there 2]} { wrong "protocols differ: [lindex $here 2], [lindex $there 2]" }
        if {[lindex $here 1] ne "master" || [lindex $there 1] ne "slave"} { wrong "$first must be master, $second slave" }
    }
    set ::state(interface,[string range $second [string first : $second]+1 end]) [lindex [split $first :] 1]
}
proc do_get_bd_addr_spaces {o a} {
    lassign [split [lindex $a 0] /] cell name
    if {[info exists ::cells($cell)] && $name eq "Data" && [string match *processing_system7* $::cells($cell)]} {
        return space:[lindex $a 0]
    }
}
proc do_get_bd_addr_segs {o a} {
    lassign [split [lindex $a 0] /] cell interface block
    if {[find_on_cell 0 $cell/$interface] ne "" && $block eq "reg0"} { return segment:[lindex $a 0] }
}
proc do_assign_bd_address {o a} {
    need space [dict get $o -target_address_space]
    need segment [lindex $a 0]
    set offset [dict get $o -offset]
    set range [dict get $o -range]
    if {$offset % $range} { wrong "the address $offset is not aligned to $range" }
    if {$range != $::set_of(block:reg0,range)} { wrong "the block has $::set_of(block:reg0,range) bytes, not $range" }
    set ::state(address,[lindex [split $a :/] 1]) "[format 0x%08x $offset] $range"
    set ::segment [list [lindex [split $a :/] 1] $offset $range]
}
proc do_validate_bd_design {o a} {
    in_design
    foreach cell [array names ::cells] {
        foreach entry [lindex [dict get $::catalogue3 $::cells($cell)] 1] {
            set pin $cell/[lindex $entry 0]
            if {[lindex $entry 1] eq "in" && [find_on_cell 1 $pin] ne "" && ![info exists ::state(net,$pin)]} {
                wrong "$pin is not connected"
            }
        }
    }
    if {![info exists ::segment]} { wrong "the slave has no address" }
    set ::validated 1
}
proc do_save_bd_design {o a} {
    in_design
    set ::bd [file join $::project(directory) $::project(name).srcs sources_1 bd $::design $::design.bd]
    file mkdir [file dirname $::bd]
    close [open $::bd w]
}
proc do_get_files {o a} { if {[info exists ::bd] && [file tail $::bd] eq [lindex $a 0]} { return file:$::bd } }
proc do_generate_target {o a} {
    if {[lindex $a 0] ne "all"} { wrong "only the target all is known" }
    need file [lindex $a 1]
    if {![info exists ::validated]} { wrong "the design was not validated" }
    set directory [file join $::project(directory) $::project(name).gen sources_1 bd $::design hw_handoff]
    file mkdir $directory
    write_hwh [file join $directory $::design.hwh]
}
proc do_make_wrapper {o a} {
    need file [lindex $a 0]
    if {![dict exists $o -top]} { wrong "make_wrapper must be told what to make" }
    lappend ::project(files) ${::design}_wrapper.v
}
# A .hwh file of what is known here: no more than tells whether the rest of the flow takes one.
proc write_hwh {path} {
    lassign $::segment instance offset range
    foreach cell [array names ::cells] {
        if {[string match *processing_system7* $::cells($cell)]} { set processor $cell }
    }
    set mhz $::set_of(cell:$processor,config.pcw_fpga0_peripheral_freqmhz)
    set out [open $path w]
    puts $out {<?xml version="1.0" encoding="UTF-8" standalone="no" ?>}
    puts $out {<EDKSYSTEM EDWVERSION="1.2"><SYSTEMINFO ARCH="zynq" DEVICE="7z020" NAME="axft" PACKAGE="clg400" SPEEDGRADE="-1"/>}
    puts $out {<EXTERNALPORTS/><EXTERNALINTERFACES/><MODULES>}
    set vlnv $::cells($processor)
    puts $out "<MODULE FULLNAME=\"/$processor\" HWVERSION=\"5.5\" INSTANCE=\"$processor\" IPTYPE=\"PROCESSOR\" IS_ENABLE=\"1\" IS_PL=\"FALSE\"\
        MODCLASS=\"PROCESSOR\" MODTYPE=\"processing_system7\" VLNV=\"$vlnv\"><PARAMETERS>"
    # Vivado takes a PLL of 1600 MHz where nothing asks for another.
    foreach {name value} [list PCW_FPGA_FCLK0_ENABLE 1 PCW_FPGA0_PERIPHERAL_FREQMHZ $mhz \
            PCW_FCLK0_PERIPHERAL_DIVISOR0 [expr {round(1600 / $mhz)}] PCW_FCLK0_PERIPHERAL_DIVISOR1 1] {
        puts $out "<PARAMETER NAME=\"$name\" VALUE=\"$value\"/>"
    }
    foreach number {1 2 3} {
        puts $out "<PARAMETER NAME=\"PCW_FPGA_FCLK${number}_ENABLE\" VALUE=\"0\"/>"
        foreach divisor {0 1} {
            puts $out "<PARAMETER NAME=\"PCW_FCLK${number}_PERIPHERAL_DIVISOR$divisor\" VALUE=\"1\"/>"
        }
    }
    puts $out {</PARAMETERS><PORTS/><BUSINTERFACES>}
    puts $out "<BUSINTERFACE BUSNAME=\"M_AXI_GP0\" DATAWIDTH=\"32\" NAME=\"M_AXI_GP0\" TYPE=\"MASTER\"\
        VLNV=\"xilinx.com:interface:aximm:1.0\"/></BUSINTERFACES><MEMORYMAP>"
    set last [format 0x%08X [expr {$offset + $range - 1}]]
    puts $out "<MEMRANGE ADDRESSBLOCK=\"reg0\" BASENAME=\"C_BASEADDR\" BASEVALUE=\"[format 0x%08X $offset]\"\
        HIGHNAME=\"C_HIGHADDR\" HIGHVALUE=\"$last\" INSTANCE=\"$instance\" IS_DATA=\"TRUE\" IS_INSTRUCTION=\"TRUE\"\
        MASTERBUSINTERFACE=\"M_AXI_GP0\" MEMTYPE=\"REGISTER\" SLAVEBUSINTERFACE=\"s_axi\"/></MEMORYMAP></MODULE>"
    set vlnv $::cells($instance)
    puts $out "<MODULE FULLNAME=\"/$instance\" HWVERSION=\"1.0\" INSTANCE=\"$instance\" IPTYPE=\"PERIPHERAL\" IS_ENABLE=\"1\" IS_PL=\"TRUE\"\
        MODCLASS=\"PERIPHERAL\" MODTYPE=\"[lindex [split $vlnv :] 2]\" VLNV=\"$vlnv\"><ADDRESSBLOCKS>"
    puts $out "<ADDRESSBLOCK ACCESS=\"\" INTERFACE=\"s_axi\" NAME=\"reg0\" RANGE=\"$range\" USAGE=\"register\"><REGISTERS>"
    foreach register $::registers {
        puts $out "<REGISTER NAME=\"$register\">"
        foreach {name property} {ADDRESS_OFFSET address_offset SIZE size ACCESS access} {
            puts $out "<PROPERTY NAME=\"$name\" VALUE=\"$::set_of(register:$register,$property)\"/>"
        }
        puts $out "<PROPERTY NAME=\"DESCRIPTION\" VALUE=\"\"/><FIELDS>"
        foreach field $::fields($register) {
            puts $out "<FIELD NAME=\"$field\">"
            foreach {name property} {BIT_OFFSET bit_offset BIT_WIDTH bit_width ACCESS access ADDRESS_OFFSET bit_offset} {
                puts $out "<PROPERTY NAME=\"$name\" VALUE=\"$::set_of(field:$register/$field,$property)\"/>"
            }
            puts $out "<PROPERTY NAME=\"DESCRIPTION\" VALUE=\"\"/></FIELD>"
        }
        puts $out {</FIELDS></REGISTER>}
    }
    puts $out {</REGISTERS></ADDRESSBLOCK></ADDRESSBLOCKS><PARAMETERS/><PORTS/><BUSINTERFACES>}
    puts $out "<BUSINTERFACE BUSNAME=\"M_AXI_GP0\" DATAWIDTH=\"32\" NAME=\"s_axi\" TYPE=\"SLAVE\"\
        VLNV=\"xilinx.com:interface:aximm:1.0\"/></BUSINTERFACES></MODULE></MODULES></EDKSYSTEM>"
    close $out
}

# The implementation: the steps in their order.
set done {}
proc step {name after} {
    if {$after ne "" && $after ni $::done} { wrong "$name needs $after before it" }
    lappend ::done $name
}
proc do_synth_design {o a} {
    if {[dict get $o -top] ne $::project(top)} { wrong "the project's top module is $::project(top)" }
    if {[dict get $o -part] ne $::project(part)} { wrong "the project is for $::project(part)" }
    if {$::set_of(file:$::bd,synth_checkpoint_mode) ne "None"} { wrong "cores would be synthesised by runs of their own" }
    step synth_design {}
    set ::state(top) [dict get $o -top]
}
proc do_opt_design {o a} { step opt_design synth_design }
proc do_place_design {o a} { step place_design opt_design }
proc do_phys_opt_design {o a} { step phys_opt_design place_design }
proc do_route_design {o a} { step route_design place_design }
proc do_get_clocks {o a} {
    if {"synth_design" ni $::done || [lindex $a 0] ne "clk_fpga_0"} { return {} }
    foreach cell [array names ::cells] {
        if {[string match *processing_system7* $::cells($cell)]} { set processor $cell }
    }
    # The core's own constraints have three digits.
    set ::set_of(clock:clk_fpga_0,period) \
        [format %.3f [expr {1000.0 / $::set_of(cell:$processor,config.pcw_fpga0_peripheral_freqmhz)}]]
    set ::state(period_ns) $::set_of(clock:clk_fpga_0,period)
    return clock:clk_fpga_0
}
proc do_get_timing_paths {o a} {
    if {"route_design" ni $::done} { wrong "timing before routing is an estimate" }
    set kind [expr {[dict exists $o -hold] ? "hold" : "setup"}]
    set ::set_of(path:$kind,slack) [expr {$kind eq "hold" ? [env STUB_HOLD 0.031] : [env STUB_SETUP 4.25]}]
    return path:$kind
}
proc write_report {o text} {
    if {"route_design" ni $::done} { wrong "a report before routing" }
    set file [dict get $o -file]
    if {![file isdirectory [file dirname $file]]} { wrong "[file dirname $file] does not exist" }
    set out [open $file w]
    puts $out $text
    close $out
}
proc do_report_timing_summary {o a} { write_report $o "| Design Timing Summary" }
proc do_report_drc {o a} { write_report $o "Report DRC" }
proc do_report_route_status {o a} { write_report $o "Design Route Status" }
proc do_report_utilization {o a} {
    # The form of Vivado 2021 and later, without most rows.
    write_report $o "
1. Slice Logic
--------------

+----------------------------+------+-------+------------+-----------+-------+
|          Site Type         | Used | Fixed | Prohibited | Available | Util% |
+----------------------------+------+-------+------------+-----------+-------+
| Slice LUTs                 | 1944 |     0 |          0 |     53200 |  3.65 |
|   LUT as Logic             | 1890 |     0 |          0 |     53200 |  3.55 |
| Slice Registers            | 1689 |     0 |          0 |    106400 |  1.59 |
+----------------------------+------+-------+------------+-----------+-------+

3. Memory
+-------------------+------+-------+------------+-----------+-------+
| Block RAM Tile    |  2.5 |     0 |          0 |       140 |  1.79 |
|   RAMB36/FIFO*    |    2 |     0 |          0 |       140 |  1.43 |
+-------------------+------+-------+------------+-----------+-------+
| DSPs      |    0 |     0 |          0 |       220 |  0.00 |

8. Primitives
| CARRY4    |  161 |          CarryLogic |
"
}
proc do_write_bitstream {o a} {
    step write_bitstream route_design
    set field {{key text} { binary format aSa* $key [expr {[string length $text] + 1}] "$text\0" }}
    set data [binary format H* ffffffffaa99556620000000]
    set out [open [lindex $a 0] wb]
    puts -nonewline $out [binary format H* 00090ff00ff00ff00ff0000001]
    puts -nonewline $out [apply $field a "$::state(top);UserID=0XFFFFFFFF;Version=2022.1"]
    puts -nonewline $out [apply $field b 7z020clg400]
    puts -nonewline $out [apply $field c [clock format [clock seconds] -format %Y/%m/%d]]
    puts -nonewline $out [apply $field d [clock format [clock seconds] -format %H:%M:%S]]
    puts -nonewline $out [binary format aI e [string length $data]]$data
    close $out
}
proc do_version {o a} { return 2022.1 }

# ------------------------------------------------------------------------------------------------------ how they are run
proc call {name flags valued counts words} {
    if {[env STUB_FAIL {}] eq $name} {
        puts [env STUB_MESSAGE "ERROR: \[Stub 1-1\] $name fails as it was told to"]
        error "ERROR: \[Common 17-39\] '$name' failed due to earlier errors."
    }
    set options [dict create]
    set others {}
    for {set place 0} {$place < [llength $words]} {incr place} {
        set word [lindex $words $place]
        if {$word in $flags} {
            dict set options $word 1
        } elseif {$word in $valued} {
            incr place
            if {$place == [llength $words]} { wrong "$name $word needs a value" }
            dict set options $word [lindex $words $place]
        } elseif {[string match {-[a-z]*} $word]} {
            wrong "$name has no option $word"
        } else {
            lappend others $word
        }
    }
    lassign $counts fewest most
    if {[llength $others] < $fewest || [llength $others] > $most} {
        wrong "$name takes $fewest to $most arguments beside its options, not $others"
    }
    lappend ::log $name
    return [do_[string map {:: _} $name] $options $others]
}
# The script runs in an interpreter of its own: it sees Tcl's commands, these, and none of the names in here.
interp create script
script eval {namespace eval ipx {}}
foreach {name flags valued counts citation} $commands {
    if {$citation eq ""} { wrong "$name has no citation" }
    interp alias script ::$name {} call_words $name $flags $valued $counts
}
proc call_words {name flags valued counts args} { call $name $flags $valued $counts $args }

if {$argv eq "-version"} {
    puts "Vivado v2022.1 (64-bit)"
    exit
}
if {[lrange $argv 0 2] ne "-mode batch -source" || [llength $argv] != 4} {
    wrong "vivado must be started with -mode batch -source FILE, not $argv"
}
# In the directory where it is started (UG835, "Tcl Journal Files").
set log_file [open [file join [pwd] vivado.log] w]
puts $log_file "Sourcing [lindex $argv 3]"
close $log_file
set state_file [file join [pwd] stub_state.txt]
puts "****** Vivado v2022.1 (64-bit)"
if {[catch {script eval [list source [lindex $argv 3]]}]} {
    puts stderr $errorInfo
    exit 1
}
foreach {name flags valued counts citation} $commands {
    if {$name ni $log} { wrong "$name is known here, and the script does not use it" }
}
set out [open $state_file w]
foreach key [lsort [array names state]] { puts $out "$key $state($key)" }
close $out
