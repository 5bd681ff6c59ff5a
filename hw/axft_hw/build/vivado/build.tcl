# From axft_top.v to a bitstream for the PYNQ-Z2, by Vivado in batch mode:
#
#     vivado -mode batch -source build.tcl
#
# settings.tcl and axft_top.v lie beside this file. What it makes lies there too: the packaged block in `ip`, projects in
# `package` and `project`, and in `results` the bitstream, the .hwh file, reports, and results.txt, which
# `axft-hw build --flow vivado --vivado-run DIR` reads. An error ends it, and Vivado with it.
#
# Written for Vivado 2022.1, and never run by any. tests/support/vivado_stubs.tcl says where each command, option and
# property is documented.

set here [file dirname [file normalize [info script]]]
cd $here
source [file join $here settings.tcl]
set results [file join $here results]
file delete -force $results
file mkdir $results

proc stage {text} {
    puts "axft-hw: $text"
    flush stdout
}

proc fail {text} {
    puts "ERROR: $text"
    error $text
}

# Vivado returns an empty list for what it does not find, and goes on.
proc one {what objects} {
    if {[llength $objects] != 1} {
        fail "there must be one $what, not [llength $objects]"
    }
    return $objects
}

# ----------------------------------------------------------------------------------------------------------------------
stage "packaging $top"

lassign [split $vlnv :] vendor library name_of_block version_of_block
create_project -force -part $part package [file join $here package]
add_files -norecurse [file join $here $top.v]
set_property top $top [current_fileset]
update_compile_order -fileset sources_1

# The packager infers the interfaces from the names of the ports: s_axi_*, aclk, aresetn.
ipx::package_project -root_dir [file join $here ip] -vendor $vendor -library $library -taxonomy /UserIP \
    -import_files -set_current true
set core [ipx::current_core]
set_property name $name_of_block $core
set_property version $version_of_block $core
set_property display_name "axft-hw accelerator" $core

set bus [one "interface s_axi" [ipx::get_bus_interfaces s_axi -of_objects $core]]
# With the ID beside write data and four bits of length it is AXI3, as M_AXI_GP0 of the processing system is.
set protocol [ipx::get_bus_parameters -quiet PROTOCOL -of_objects $bus]
if {[llength $protocol] == 0} {
    set protocol [ipx::add_bus_parameter PROTOCOL $bus]
}
set_property value AXI3 $protocol
ipx::associate_bus_interfaces -busif s_axi -clock aclk $core
ipx::associate_bus_interfaces -clock aclk -reset aresetn $core

set map [one "memory map s_axi" [ipx::get_memory_maps s_axi -of_objects $core]]
set block [one "address block reg0" [ipx::get_address_blocks reg0 -of_objects $map]]
set_property range $address_range $block
foreach register $registers {
    lassign $register name offset access text fields
    set made [ipx::add_register $name $block]
    set_property description $text $made
    set_property address_offset $offset $made
    set_property size 32 $made
    set_property access $access $made
    foreach field $fields {
        lassign $field name low bits access text
        set part_of [ipx::add_field $name $made]
        set_property description $text $part_of
        set_property bit_offset $low $part_of
        set_property bit_width $bits $part_of
        set_property access $access $part_of
    }
}
ipx::create_xgui_files $core
ipx::update_checksums $core
ipx::save_core $core
close_project

# ----------------------------------------------------------------------------------------------------------------------
stage "block design"

create_project -force -part $part $design [file join $here project]
set_property ip_repo_paths [file join $here ip] [current_fileset]
update_ip_catalog -rebuild
create_bd_design $design

# What reaches the fabric, and so the bitstream: the port, one clock, its reset. Memory controller, pins and PLLs of the
# processor are set by the board's boot loader, long before; their settings here would go into a boot loader that nobody
# builds. The crystal and the clock's source are named so that the divisors in the .hwh file, from which pynq sets
# FCLK0, are those for this board.
set processor_cell [create_bd_cell -type ip -vlnv xilinx.com:ip:processing_system7:5.5 $processor]
set_property -dict [list \
    CONFIG.PCW_CRYSTAL_PERIPHERAL_FREQMHZ $crystal_mhz \
    CONFIG.PCW_USE_M_AXI_GP0 1 \
    CONFIG.PCW_EN_CLK0_PORT 1 \
    CONFIG.PCW_EN_RST0_PORT 1 \
    CONFIG.PCW_FCLK0_PERIPHERAL_CLKSRC {IO PLL} \
    CONFIG.PCW_FPGA0_PERIPHERAL_FREQMHZ $clock_mhz \
] $processor_cell
create_bd_cell -type ip -vlnv xilinx.com:ip:proc_sys_reset:5.0 reset_0
create_bd_cell -type ip -vlnv $vlnv $instance

create_bd_intf_port -mode Master -vlnv xilinx.com:interface:ddrx_rtl:1.0 DDR
create_bd_intf_port -mode Master -vlnv xilinx.com:display_processing_system7:fixedio_rtl:1.0 FIXED_IO
foreach pads {DDR FIXED_IO} {
    connect_bd_intf_net [one "port $pads" [get_bd_intf_ports $pads]] \
        [one "interface $pads" [get_bd_intf_pins $processor/$pads]]
}
# Directly: both ends are AXI3 with 32 bits of data and 12 of ID. The block then answers at every address of the port,
# and an access to an address that nothing has ends with an error response and not with a stopped processor.
connect_bd_intf_net [one "interface $port" [get_bd_intf_pins $processor/$port]] \
    [one "interface s_axi" [get_bd_intf_pins $instance/s_axi]]
set clock [one "clock" [get_bd_pins $processor/FCLK_CLK0]]
foreach pin [list $processor/${port}_ACLK reset_0/slowest_sync_clk $instance/aclk] {
    connect_bd_net $clock [one "pin $pin" [get_bd_pins $pin]]
}
connect_bd_net [one "reset" [get_bd_pins $processor/FCLK_RESET0_N]] [get_bd_pins reset_0/ext_reset_in]
connect_bd_net [get_bd_pins reset_0/peripheral_aresetn] [one "pin aresetn" [get_bd_pins $instance/aresetn]]

assign_bd_address -offset $base_address -range $address_range \
    -target_address_space [one "address space" [get_bd_addr_spaces $processor/Data]] \
    [one "segment" [get_bd_addr_segs $instance/s_axi/reg0]]
validate_bd_design
save_bd_design

# As one design, not core by core: nothing runs outside of this process.
set file [one "block design" [get_files $design.bd]]
set_property SYNTH_CHECKPOINT_MODE None $file
generate_target all $file
make_wrapper -top -import -fileset sources_1 $file
set_property top ${design}_wrapper [current_fileset]
update_compile_order -fileset sources_1

# ----------------------------------------------------------------------------------------------------------------------
stage "synthesis"
synth_design -top ${design}_wrapper -part $part

# The constraint comes with the processing system: without it every design would meet its timing.
set fabric [one "clock clk_fpga_0" [get_clocks clk_fpga_0]]
set period [get_property PERIOD $fabric]
if {abs($period * $clock_mhz / 1000.0 - 1.0) > 0.001} {
    fail "clk_fpga_0 must have a period of [expr {1000.0 / $clock_mhz}] ns, not $period"
}

stage "optimisation"
opt_design
stage "placement"
place_design
phys_opt_design
stage "routing"
route_design

# ----------------------------------------------------------------------------------------------------------------------
stage "reports"
report_timing_summary -file [file join $results timing.rpt]
report_utilization -file [file join $results utilization.rpt]
report_drc -file [file join $results drc.rpt]
report_route_status -file [file join $results route.rpt]
set setup [get_property SLACK [one "slowest path" [get_timing_paths -setup -max_paths 1]]]
set hold [get_property SLACK [one "fastest path" [get_timing_paths -hold -max_paths 1]]]

stage "bitstream"
write_bitstream -force [file join $results $design.bit]
file copy [file join $here project $design.gen sources_1 bd $design hw_handoff $design.hwh] \
    [file join $results $design.hwh]

# Last, so that this file says that all of the others are there.
set out [open [file join $results results.txt] w]
puts $out "vivado [version -short]"
puts $out "config_hash $config_hash"
puts $out "clock_mhz $clock_mhz"
puts $out "setup_slack_ns $setup"
puts $out "hold_slack_ns $hold"
close $out
stage "done"
