// An AXI4 master's view of a design with an AXI3 port, for bus models that speak AXI4 only.
//
// What differs is made here: LEN loses four bits (the master is told to send no more than 16 beats), LOCK gains one,
// and each beat of write data gets the WID that AXI3 wants: the AWID of the burst it belongs to. WID of a beat is
// known only once its address has been handed over, so write data waits for that.
//
// Macros: DUT, the design's module, and DUT_CLOCK and DUT_RESET, its clock and reset; DUT_RESET_LEVEL, the level of
// the latter that resets; ADDRESS_BITS and ID_BITS. The counters are for the tests to read.
`timescale 1ns / 1ps

module axi4_shim (
    input  wire                     aclk,
    input  wire                     areset,
    input  wire [`ID_BITS-1:0]      s_axi_awid,
    input  wire [`ADDRESS_BITS-1:0] s_axi_awaddr,
    input  wire [7:0]               s_axi_awlen,
    input  wire [2:0]               s_axi_awsize,
    input  wire [1:0]               s_axi_awburst,
    input  wire                     s_axi_awlock,
    input  wire [3:0]               s_axi_awcache,
    input  wire [2:0]               s_axi_awprot,
    input  wire                     s_axi_awvalid,
    output wire                     s_axi_awready,
    input  wire [31:0]              s_axi_wdata,
    input  wire [3:0]               s_axi_wstrb,
    input  wire                     s_axi_wlast,
    input  wire                     s_axi_wvalid,
    output wire                     s_axi_wready,
    output wire [`ID_BITS-1:0]      s_axi_bid,
    output wire [1:0]               s_axi_bresp,
    output wire                     s_axi_bvalid,
    input  wire                     s_axi_bready,
    input  wire [`ID_BITS-1:0]      s_axi_arid,
    input  wire [`ADDRESS_BITS-1:0] s_axi_araddr,
    input  wire [7:0]               s_axi_arlen,
    input  wire [2:0]               s_axi_arsize,
    input  wire [1:0]               s_axi_arburst,
    input  wire                     s_axi_arlock,
    input  wire [3:0]               s_axi_arcache,
    input  wire [2:0]               s_axi_arprot,
    input  wire                     s_axi_arvalid,
    output wire                     s_axi_arready,
    output wire [`ID_BITS-1:0]      s_axi_rid,
    output wire [31:0]              s_axi_rdata,
    output wire [1:0]               s_axi_rresp,
    output wire                     s_axi_rlast,
    output wire                     s_axi_rvalid,
    input  wire                     s_axi_rready
);
    // AWIDs of the bursts whose data has not ended.
    reg [`ID_BITS-1:0] ids [0:15];
    reg [3:0] head = 0;
    reg [3:0] tail = 0;
    wire open = head != tail;
    wire dut_wready;
    assign s_axi_wready = dut_wready & open;

    reg [31:0] write_bursts = 0;
    reg [31:0] read_bursts = 0;
    reg [31:0] write_beats = 0;
    reg [31:0] read_beats = 0;
    reg [31:0] longest_bursts = 0;
    reg [31:0] stalled_answers = 0;
    reg [31:0] too_long = 0;

    always @(posedge aclk) begin
        if (areset) begin
            head <= 0;
            tail <= 0;
        end else begin
            if (s_axi_awvalid & s_axi_awready) begin
                ids[tail] <= s_axi_awid;
                tail <= tail + 1;
                write_bursts <= write_bursts + 1;
                if (s_axi_awlen > 15) too_long <= too_long + 1;
            end
            if (s_axi_wvalid & s_axi_wready) begin
                write_beats <= write_beats + 1;
                if (s_axi_wlast) head <= head + 1;
            end
            if (s_axi_arvalid & s_axi_arready) begin
                read_bursts <= read_bursts + 1;
                if (s_axi_arlen > 15) too_long <= too_long + 1;
            end
            if (s_axi_rvalid & s_axi_rready) read_beats <= read_beats + 1;
            if ((s_axi_bvalid & ~s_axi_bready) | (s_axi_rvalid & ~s_axi_rready))
                stalled_answers <= stalled_answers + 1;
            longest_bursts <= longest_bursts
                + (s_axi_awvalid & s_axi_awready & s_axi_awlen == 15)
                + (s_axi_arvalid & s_axi_arready & s_axi_arlen == 15);
        end
    end

    `DUT dut (
        .`DUT_CLOCK(aclk),
        .`DUT_RESET(areset ? `DUT_RESET_LEVEL : ~`DUT_RESET_LEVEL),
        .s_axi_awid(s_axi_awid),
        .s_axi_awaddr(s_axi_awaddr),
        .s_axi_awlen(s_axi_awlen[3:0]),
        .s_axi_awsize(s_axi_awsize),
        .s_axi_awburst(s_axi_awburst),
        .s_axi_awlock({1'b0, s_axi_awlock}),
        .s_axi_awcache(s_axi_awcache),
        .s_axi_awprot(s_axi_awprot),
        .s_axi_awvalid(s_axi_awvalid),
        .s_axi_awready(s_axi_awready),
        .s_axi_wid(ids[head]),
        .s_axi_wdata(s_axi_wdata),
        .s_axi_wstrb(s_axi_wstrb),
        .s_axi_wlast(s_axi_wlast),
        .s_axi_wvalid(s_axi_wvalid & open),
        .s_axi_wready(dut_wready),
        .s_axi_bid(s_axi_bid),
        .s_axi_bresp(s_axi_bresp),
        .s_axi_bvalid(s_axi_bvalid),
        .s_axi_bready(s_axi_bready),
        .s_axi_arid(s_axi_arid),
        .s_axi_araddr(s_axi_araddr),
        .s_axi_arlen(s_axi_arlen[3:0]),
        .s_axi_arsize(s_axi_arsize),
        .s_axi_arburst(s_axi_arburst),
        .s_axi_arlock({1'b0, s_axi_arlock}),
        .s_axi_arcache(s_axi_arcache),
        .s_axi_arprot(s_axi_arprot),
        .s_axi_arvalid(s_axi_arvalid),
        .s_axi_arready(s_axi_arready),
        .s_axi_rid(s_axi_rid),
        .s_axi_rdata(s_axi_rdata),
        .s_axi_rresp(s_axi_rresp),
        .s_axi_rlast(s_axi_rlast),
        .s_axi_rvalid(s_axi_rvalid),
        .s_axi_rready(s_axi_rready)
    );
endmodule
