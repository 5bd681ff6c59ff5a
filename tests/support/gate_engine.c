/* Evaluates netlists of tables and registers that all see one clock, cycle by cycle.
 *
 * A net is a word with one bit for each lane; lanes are machines of their own, with one netlist. LANES is 1 or 64. With
 * 64, tables differ between lanes where somebody has written them so.
 */

#include <stdint.h>
#include <string.h>

#if LANES == 1
typedef uint8_t word;
#else
typedef uint64_t word;
#endif

enum { READ_FIRST = 0, WRITE_FIRST = 1, NO_CHANGE = 2 };

/* Table, at `table` in the store, indexed by nets, the first the least significant. Unused inputs are net 0, which is
 * 0. Its words are constants for a look-up table, and state for a memory that is read at once. */
typedef struct {
    int32_t inputs, in[6], out, table;
} gate;

typedef struct {
    int32_t data, enable, reset, value, out;
} flip_flop;

/* Words that move on by one; the new one comes in at `table`. */
typedef struct {
    int32_t data, enable, table, depth;
} shifter;

typedef struct {
    int32_t inputs, address[6], data, enable, table;
} writer;

/* Bits of a port: 9 for each byte, the ninth its parity; a narrow port has as many as it is wide. */
typedef struct {
    int32_t read_bits, write_bits, mode, registered, reset_first;
    int32_t enable, reset, register_enable, register_reset;
    int32_t write_enable[8], address[15], in[72], out[72], reset_value[72], initial[72];
} ram_port;

typedef struct {
    ram_port port[2];
} ram;

typedef struct {
    uint16_t bytes[LANES][4096];
    uint16_t latch[2][LANES][8], output[2][LANES][8];
} ram_state;

typedef struct {
    uint64_t gates, flip_flops, shifters, writers, rams;
    const gate *gate;
    const flip_flop *flip_flop;
    const shifter *shifter;
    const writer *writer;
    const ram *ram;
    word *nets, *store, *next;
    ram_state *ram_states;
    uint64_t collisions; /* accesses of block RAMs whose outcome the manual leaves open */
} engine;

static void settle(const engine *e)
{
    const word *nets = e->nets, *store = e->store;
    for (uint64_t k = 0; k < e->gates; k++) {
        const gate *g = e->gate + k;
#if LANES == 1
        unsigned index = 0;
        for (int i = 0; i < 6; i++) index |= (unsigned)nets[g->in[i]] << i;
        e->nets[g->out] = store[g->table + index];
#else
        word left[64];
        int size = 1 << g->inputs;
        memcpy(left, store + g->table, size * sizeof(word));
        for (int i = 0; i < g->inputs; i++) {
            word select = nets[g->in[i]];
            size /= 2;
            for (int j = 0; j < size; j++) left[j] = left[2 * j] ^ (select & (left[2 * j] ^ left[2 * j + 1]));
        }
        e->nets[g->out] = left[0];
#endif
    }
}

static unsigned bit_of(const engine *e, int32_t net, int lane) { return e->nets[net] >> lane & 1; }

/* First byte that an access of some width sees; narrow ones see bits of it, from `*first` on. */
static unsigned place(const engine *e, const ram_port *port, int bits, int lane, unsigned *first)
{
    unsigned address = 0;
    for (int i = 0; i < 15; i++) address |= bit_of(e, port->address[i], lane) << i;
    *first = bits < 9 ? address & 7 & ~(unsigned)(bits - 1) : 0;
    unsigned count = bits < 9 ? 1 : bits / 9;
    return (address >> 3) & ~(count - 1);
}

static void ram_read(const engine *e, const ram_port *port, const uint16_t *bytes, int lane, uint16_t *value)
{
    unsigned first, byte = place(e, port, port->read_bits, lane, &first);
    if (port->read_bits < 9) value[0] = bytes[byte] >> first & ((1u << port->read_bits) - 1);
    else
        for (int i = 0; i < port->read_bits / 9; i++) value[i] = bytes[byte + i];
}

/* Which bits a port writes in this cycle, and with what; return the first byte. */
static unsigned ram_write(const engine *e, const ram_port *port, int lane, uint16_t *mask, uint16_t *value)
{
    unsigned first, byte = place(e, port, port->write_bits, lane, &first);
    memset(mask, 0, 16);
    memset(value, 0, 16);
    if (port->write_bits < 9) {
        if (port->write_bits && bit_of(e, port->write_enable[0], lane))
            mask[0] = ((1u << port->write_bits) - 1) << first;
        for (int j = 0; j < port->write_bits; j++) value[0] |= bit_of(e, port->in[j], lane) << (first + j);
        return byte;
    }
    for (int i = 0; i < port->write_bits / 9; i++) {
        if (bit_of(e, port->write_enable[i], lane)) mask[i] = 0x1ff;
        for (int j = 0; j < 9; j++) value[i] |= bit_of(e, port->in[9 * i + j], lane) << j;
    }
    return byte;
}

static int any(const uint16_t *mask)
{
    unsigned found = 0;
    for (int i = 0; i < 8; i++) found |= mask[i];
    return found != 0;
}

static void ram_edge(engine *e, const ram *r, ram_state *state, int lane)
{
    uint16_t *bytes = state->bytes[lane];
    uint16_t mask[2][8], value[2][8], seen[2][8];
    unsigned at[2];
    int enabled[2], reads[2];
    for (int p = 0; p < 2; p++) {
        const ram_port *port = r->port + p;
        enabled[p] = bit_of(e, port->enable, lane);
        at[p] = ram_write(e, port, lane, mask[p], value[p]);
        if (!enabled[p]) memset(mask[p], 0, 16);
        reads[p] = port->read_bits && enabled[p] && !(port->mode == NO_CHANGE && any(mask[p]));
        if (reads[p]) ram_read(e, port, bytes, lane, seen[p]);
    }
    /* Both write the same bit, and not the same into it. */
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < 8; j++)
            if (at[0] + i == at[1] + j && (mask[0][i] & mask[1][j] & (value[0][i] ^ value[1][j]))) e->collisions++;
    /* One reads what the other writes, and does not get the old contents for certain: it gets what is wrong. */
    for (int p = 0; p < 2; p++) {
        const ram_port *port = r->port + p, *other = r->port + !p;
        unsigned first, byte = place(e, port, port->read_bits, lane, &first);
        unsigned looked_at = port->read_bits < 9 ? ((1u << port->read_bits) - 1) << first : 0x1ff;
        int unreliable = 0;
        if (!reads[p] || other->mode == READ_FIRST) continue;
        for (int i = 0; i < (port->read_bits < 9 ? 1 : port->read_bits / 9); i++)
            for (int j = 0; j < 8; j++) unreliable |= byte + i == at[!p] + j && (mask[!p][j] & looked_at);
        if (!unreliable) continue;
        e->collisions++;
        for (int i = 0; i < 8; i++) seen[p][i] ^= 0x1ff;
    }
    for (int p = 0; p < 2; p++)
        for (int i = 0; i < 8; i++)
            if (mask[p][i]) bytes[at[p] + i] = (bytes[at[p] + i] & ~mask[p][i]) | (value[p][i] & mask[p][i]);
    for (int p = 0; p < 2; p++) {
        const ram_port *port = r->port + p;
        uint16_t *latch = state->latch[p][lane], *output = state->output[p][lane], reset_value[8] = {0};
        if (!port->read_bits) continue;
        if (port->mode == WRITE_FIRST && reads[p] && any(mask[p])) ram_read(e, port, bytes, lane, seen[p]);
        for (int i = 0; i < 72; i++) reset_value[i / 9] |= port->reset_value[i] << i % 9;
        if (port->registered) {
            int load = bit_of(e, port->register_enable, lane);
            int reset = bit_of(e, port->register_reset, lane) && (port->reset_first || load);
            if (reset) memcpy(output, reset_value, 16);
            else if (load) memcpy(output, latch, 16);
        }
        if (enabled[p] && bit_of(e, port->reset, lane)) memcpy(latch, reset_value, 16);
        else if (reads[p]) memcpy(latch, seen[p], 16);
        if (!port->registered) memcpy(output, latch, 16);
    }
}

/* Show what the block RAMs have on their outputs. */
static void ram_show(const engine *e)
{
    for (uint64_t k = 0; k < e->rams; k++)
        for (int p = 0; p < 2; p++)
            for (int i = 0; i < e->ram[k].port[p].read_bits; i++) {
                word bits = 0;
                for (int lane = 0; lane < LANES; lane++)
                    bits |= (word)(e->ram_states[k].output[p][lane][i / 9] >> i % 9 & 1) << lane;
                e->nets[e->ram[k].port[p].out[i]] = bits;
            }
}

static void edge(engine *e)
{
    const word *nets = e->nets;
    for (uint64_t k = 0; k < e->flip_flops; k++) {
        const flip_flop *f = e->flip_flop + k;
        word now = nets[f->out], enable = nets[f->enable], reset = nets[f->reset];
        now ^= enable & (now ^ nets[f->data]);
        e->next[k] = now ^ (reset & (now ^ nets[f->value]));
    }
    for (uint64_t k = 0; k < e->shifters; k++) {
        const shifter *s = e->shifter + k;
        word *words = e->store + s->table, enable = nets[s->enable];
        for (int i = s->depth - 1; i > 0; i--) words[i] ^= enable & (words[i] ^ words[i - 1]);
        words[0] ^= enable & (words[0] ^ nets[s->data]);
    }
    for (uint64_t k = 0; k < e->writers; k++) {
        const writer *w = e->writer + k;
        for (int a = 0; a < 1 << w->inputs; a++) {
            word here = nets[w->enable], *old = e->store + w->table + a;
            for (int i = 0; i < w->inputs; i++)
                here &= a >> i & 1 ? nets[w->address[i]] : (word)(nets[w->address[i]] ^ nets[1]);
            *old ^= here & (*old ^ nets[w->data]);
        }
    }
    for (uint64_t k = 0; k < e->rams; k++)
        for (int lane = 0; lane < LANES; lane++) ram_edge(e, e->ram + k, e->ram_states + k, lane);
    for (uint64_t k = 0; k < e->flip_flops; k++) e->nets[e->flip_flop[k].out] = e->next[k];
    ram_show(e);
}

#define GATE_EXPORT __attribute__((visibility("default")))

GATE_EXPORT uint64_t gate_ram_state_size(void) { return sizeof(ram_state); }

/* Give the outputs of the block RAMs their initial values. */
GATE_EXPORT void gate_power_up(engine *e)
{
    for (uint64_t k = 0; k < e->rams; k++)
        for (int p = 0; p < 2; p++)
            for (int lane = 0; lane < LANES; lane++) {
                uint16_t first[8] = {0};
                for (int i = 0; i < 72; i++) first[i / 9] |= e->ram[k].port[p].initial[i] << i % 9;
                memcpy(e->ram_states[k].latch[p][lane], first, 16);
                memcpy(e->ram_states[k].output[p][lane], first, 16);
            }
    ram_show(e);
}

/* Each cycle: inputs from a row of `stimulus`, settle, outputs into a row of `record`, edge. */
GATE_EXPORT void gate_run(engine *e, uint64_t cycles, uint64_t inputs, const int32_t *in, const word *stimulus,
                          uint64_t outputs, const int32_t *out, word *record)
{
    for (uint64_t cycle = 0; cycle < cycles; cycle++) {
        for (uint64_t i = 0; i < inputs; i++) e->nets[in[i]] = *stimulus++;
        settle(e);
        for (uint64_t i = 0; i < outputs; i++) *record++ = e->nets[out[i]];
        edge(e);
    }
}
