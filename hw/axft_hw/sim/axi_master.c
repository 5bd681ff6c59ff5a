/* An AXI3 master that does whole batches of operations on the compiled model, appended to the model's own text.
 *
 * Bursts of up to 16 beats, one at a time. The ports are driven from what the last clock edge has left, as a
 * synchronous master drives them: inputs are set, outputs settle, both sides see the edge.
 */

enum { BUS_WRITE = 0, BUS_READ = 1, BUS_WAIT = 2 };
enum { BUS_OK = 0, BUS_TIMEOUT = 1, BUS_ERROR = 2, BUS_SILENT = 3, BUS_PROTOCOL = 4 };

typedef struct {
    uint64_t kind;
    uint64_t offset;   /* bytes */
    uint64_t words;    /* of a write or a read */
    uint64_t data;     /* their first word in the data of the batch */
    uint64_t mask;     /* of a wait */
    uint64_t value;
    uint64_t deadline; /* clock cycles */
} bus_operation;

typedef struct {
    uint64_t reason;
    uint64_t operation; /* which one failed */
    uint64_t address;
    uint64_t word;      /* what a wait has read last */
    uint64_t cycles;    /* since it began */
} bus_failure;

#define BUS_ID 0x5A5
#define BUS_BEATS 16
/* A slave that keeps a handshake waiting for longer does not answer. */
#define BUS_PATIENCE 4096

typedef struct {
    uint64_t offset, bytes;
} bus_column;

/* What is recorded of one machine: members of its state in every clock period, in rows behind one another. */
static struct {
    const axft_model *machine;
    const bus_column *columns;
    uint64_t column_count;
    uint8_t *rows;
    uint64_t room, seen; /* in rows; those beyond the room are counted and not kept */
} bus_record;

/* Do the clock edge. What is recorded is what registers and ports hold before it. */
AXFT_FAST void bus_edge(axft_model *m)
{
    if (bus_record.machine == m) {
        if (bus_record.seen++ < bus_record.room)
            for (uint64_t k = 0; k < bus_record.column_count; k++) {
                memcpy(bus_record.rows, (const uint8_t *)m + bus_record.columns[k].offset, bus_record.columns[k].bytes);
                bus_record.rows += bus_record.columns[k].bytes;
            }
    }
    axft_model_commit(m);
}

/* Record a machine from now on, and no other one. Returns the rows seen of the one before. */
AXFT_EXPORT uint64_t axft_export_record(const axft_model *m, const bus_column *columns, uint64_t column_count,
                                        uint8_t *rows, uint64_t room)
{
    uint64_t seen = bus_record.seen;
    bus_record.machine = m;
    bus_record.columns = columns;
    bus_record.column_count = column_count;
    bus_record.rows = rows;
    bus_record.room = room;
    bus_record.seen = 0;
    return seen;
}

/* Return the beats of the burst at `address`: `left` words, 16 beats, or up to a boundary of 4 KiB. */
AXFT_FAST uint64_t bus_beats(uint64_t address, uint64_t left)
{
    uint64_t room = (4096 - (address & 4095)) / 4;
    uint64_t beats = left < BUS_BEATS ? left : BUS_BEATS;
    return beats < room ? beats : room;
}

static uint64_t bus_write(axft_model *m, uint64_t address, const uint32_t *words, uint64_t beats)
{
    uint64_t sent = 0, idle = 0;
    BUS_IN(awid) = BUS_ID;
    BUS_IN(awaddr) = address;
    BUS_IN(awlen) = beats - 1;
    BUS_IN(awsize) = 2;
    BUS_IN(awburst) = 1;
    BUS_IN(awvalid) = 1;
    BUS_IN(wid) = BUS_ID;
    BUS_IN(wstrb) = 15;
    BUS_IN(wvalid) = 1;
    BUS_IN(bready) = 1;
    for (;;) {
        if (BUS_IN(wvalid)) {
            BUS_IN(wdata) = words[sent];
            BUS_IN(wlast) = sent + 1 == beats;
        }
        axft_model_eval(m);
        int address_taken = BUS_IN(awvalid) && BUS_OUT(awready);
        int beat_taken = BUS_IN(wvalid) && BUS_OUT(wready);
        int answered = BUS_OUT(bvalid);
        uint64_t response = BUS_OUT(bresp), id = BUS_OUT(bid);
        bus_edge(m);
        idle = address_taken || beat_taken ? 0 : idle + 1;
        if (address_taken) BUS_IN(awvalid) = 0;
        if (beat_taken && ++sent == beats) BUS_IN(wvalid) = 0;
        if (answered) {
            int early = BUS_IN(awvalid) || BUS_IN(wvalid);
            BUS_IN(awvalid) = BUS_IN(wvalid) = BUS_IN(bready) = 0;
            if (early || id != BUS_ID) return BUS_PROTOCOL;
            return response ? BUS_ERROR : BUS_OK;
        }
        if (idle > BUS_PATIENCE) {
            BUS_IN(awvalid) = BUS_IN(wvalid) = BUS_IN(bready) = 0;
            return BUS_SILENT;
        }
    }
}

static uint64_t bus_read(axft_model *m, uint64_t address, uint32_t *words, uint64_t beats)
{
    uint64_t got = 0, idle = 0, failed = 0;
    BUS_IN(arid) = BUS_ID;
    BUS_IN(araddr) = address;
    BUS_IN(arlen) = beats - 1;
    BUS_IN(arsize) = 2;
    BUS_IN(arburst) = 1;
    BUS_IN(arvalid) = 1;
    BUS_IN(rready) = 1;
    for (;;) {
        axft_model_eval(m);
        int address_taken = BUS_IN(arvalid) && BUS_OUT(arready);
        int beat = BUS_OUT(rvalid);
        uint64_t response = BUS_OUT(rresp), id = BUS_OUT(rid), last = BUS_OUT(rlast);
        uint32_t word = BUS_OUT(rdata);
        bus_edge(m);
        idle = address_taken || beat ? 0 : idle + 1;
        if (beat) {
            if (BUS_IN(arvalid) || id != BUS_ID || last != (got + 1 == beats)) {
                BUS_IN(arvalid) = BUS_IN(rready) = 0;
                return BUS_PROTOCOL;
            }
            failed |= response;
            words[got++] = word;
        }
        if (address_taken) BUS_IN(arvalid) = 0;
        if (got == beats || idle > BUS_PATIENCE) {
            BUS_IN(arvalid) = BUS_IN(rready) = 0;
            return got < beats ? BUS_SILENT : failed ? BUS_ERROR : BUS_OK;
        }
    }
}

static uint64_t bus_operate(axft_model *m, const bus_operation *operation, uint32_t *data, bus_failure *failure)
{
    if (operation->kind == BUS_WAIT) {
        uint64_t start = m->cycle;
        failure->address = operation->offset;
        for (;;) {
            uint32_t word = 0;
            uint64_t reason = bus_read(m, operation->offset, &word, 1);
            failure->word = word;
            if (reason) return reason;
            if ((word & operation->mask) == operation->value) return BUS_OK;
            if (m->cycle - start >= operation->deadline) return BUS_TIMEOUT;
        }
    }
    uint32_t *words = data + operation->data;
    for (uint64_t done = 0; done < operation->words;) {
        uint64_t address = operation->offset + 4 * done;
        uint64_t beats = bus_beats(address, operation->words - done);
        uint64_t reason = operation->kind == BUS_WRITE ? bus_write(m, address, words + done, beats)
                                                       : bus_read(m, address, words + done, beats);
        failure->address = address;
        if (reason) return reason;
        done += beats;
    }
    return BUS_OK;
}

/* Do operations in order. Returns how many were done; if not all, `failure` says why. */
AXFT_EXPORT uint64_t axft_export_operate(axft_model *m, const bus_operation *operations, uint64_t count, uint32_t *data,
                                         bus_failure *failure)
{
    for (uint64_t k = 0; k < count; k++) {
        uint64_t start = m->cycle;
        failure->reason = bus_operate(m, operations + k, data, failure);
        if (failure->reason) {
            failure->operation = k;
            failure->cycles = m->cycle - start;
            return k;
        }
    }
    return count;
}

/* Let clock cycles pass with nothing on the bus. */
AXFT_EXPORT void axft_export_idle(axft_model *m, uint64_t cycles)
{
    for (uint64_t k = 0; k < cycles; k++) {
        axft_model_eval(m);
        bus_edge(m);
    }
}
