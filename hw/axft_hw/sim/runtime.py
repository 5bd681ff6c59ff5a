"""The part of the C text that is the same for every design."""

from __future__ import annotations

__all__ = ["EPILOGUE", "INJECTION", "PRELUDE"]

PRELUDE = r"""
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Not even analysed with its callers: GCC 12 takes some of these loops for pure functions, from the form that its own
   choice of induction variables gives their addresses, and drops the calls (-O1, -O2 without vector code). */
#if defined(__GNUC__) && !defined(__clang__)
#define AXFT_SLOW static __attribute__((noipa))
#else
#define AXFT_SLOW static __attribute__((noinline))
#endif
#define AXFT_FAST static inline __attribute__((always_inline, unused))

/* Bits of an array of words. The words above a value are zero, and its array ends with its last word. */
AXFT_FAST void axft_put(uint64_t *words, unsigned at, uint64_t value, unsigned width)
{
    words[at >> 6] |= value << (at & 63);
    if ((at & 63) + width > 64) words[(at >> 6) + 1] |= value >> (64 - (at & 63));
}
AXFT_FAST uint64_t axft_get(const uint64_t *words, unsigned at, unsigned width)
{
    uint64_t value = words[at >> 6] >> (at & 63);
    if ((at & 63) + width > 64) value |= words[(at >> 6) + 1] << (64 - (at & 63));
    return width == 64 ? value : value & (((uint64_t)1 << width) - 1);
}
/* Eight bytes of 0 or 1 become eight bits. */
AXFT_FAST void axft_pack(uint64_t *words, unsigned at, const uint8_t *bytes, unsigned count)
{
    unsigned k = 0;
    for (; k + 8 <= count; k += 8) {
        uint64_t eight;
        memcpy(&eight, bytes + k, 8);
        axft_put(words, at + k, (eight * 0x0102040810204080ull) >> 56, 8);
    }
    for (; k < count; k++) axft_put(words, at + k, bytes[k], 1);
}
static __attribute__((unused)) void axft_extend(uint64_t *words, unsigned width, unsigned count)
{
    unsigned word = (width - 1) >> 6;
    uint64_t sign = words[word] >> ((width - 1) & 63) & 1;
    if (width & 63) words[word] |= (0 - sign) << (width & 63);
    for (unsigned k = word + 1; k < count; k++) words[k] = 0 - sign;
}
static __attribute__((unused)) void axft_patch(uint64_t *words, unsigned at, const uint64_t *value, unsigned width)
{
    for (unsigned done = 0; done < width;) {
        unsigned shift = (at + done) & 63, size = 64 - shift;
        if (size > width - done) size = width - done;
        uint64_t keep = size == 64 ? 0 : ~((((uint64_t)1 << size) - 1) << shift);
        uint64_t *word = words + ((at + done) >> 6);
        *word = (*word & keep) | axft_get(value, done, size) << shift;
        done += size;
    }
}
AXFT_FAST uint64_t axft_bits(const uint64_t *words, unsigned count, uint64_t at, uint64_t fill)
{
    uint64_t word = at >> 6;
    unsigned shift = at & 63;
    uint64_t low = word < count ? words[word] : fill;
    uint64_t high = word + 1 < count ? words[word + 1] : fill;
    return shift ? low >> shift | high << (64 - shift) : low;
}
static __attribute__((unused)) void axft_shr(uint64_t *out, unsigned size, const uint64_t *words, unsigned count,
                                             uint64_t by, int arithmetic)
{
    uint64_t fill = arithmetic ? 0 - (words[count - 1] >> 63) : 0;
    uint64_t most = (uint64_t)64 * count;
    if (by > most) by = most;
    for (unsigned k = 0; k < size; k++) out[k] = axft_bits(words, count, by + 64 * (uint64_t)k, fill);
}
static __attribute__((unused)) void axft_shl(uint64_t *out, unsigned size, const uint64_t *words, unsigned count,
                                             uint64_t by, int unused)
{
    (void)unused;
    for (unsigned k = 0; k < size; k++) {
        uint64_t word = by >> 6, shift = by & 63;
        uint64_t low = word + 1 <= k && k - word - 1 < count ? words[k - word - 1] : 0;
        uint64_t high = word <= k && k - word < count ? words[k - word] : 0;
        out[k] = shift ? high << shift | low >> (64 - shift) : high;
    }
}
static __attribute__((unused)) void axft_add(uint64_t *out, const uint64_t *a, const uint64_t *b, unsigned count)
{
    uint64_t carry = 0;
    for (unsigned k = 0; k < count; k++) {
        uint64_t sum = a[k] + carry;
        carry = sum < carry;
        out[k] = sum + b[k];
        carry += out[k] < sum;
    }
}
static __attribute__((unused)) void axft_sub(uint64_t *out, const uint64_t *a, const uint64_t *b, unsigned count)
{
    uint64_t borrow = 0;
    for (unsigned k = 0; k < count; k++) {
        uint64_t x = a[k], y = b[k], difference = x - y - borrow;
        borrow = borrow ? x <= y : x < y;
        out[k] = difference;
    }
}
static __attribute__((unused)) void axft_neg(uint64_t *out, const uint64_t *a, unsigned count)
{
    uint64_t carry = 1;
    for (unsigned k = 0; k < count; k++) {
        out[k] = ~a[k] + carry;
        carry = carry && !out[k];
    }
}
static __attribute__((unused)) void axft_mul(uint64_t *out, const uint64_t *a, const uint64_t *b, unsigned count)
{
    memset(out, 0, 8 * count);
    for (unsigned i = 0; i < count; i++) {
        uint64_t carry = 0;
        for (unsigned k = 0; i + k < count; k++) {
            unsigned __int128 sum = (unsigned __int128)a[i] * b[k] + out[i + k] + carry;
            out[i + k] = (uint64_t)sum;
            carry = (uint64_t)(sum >> 64);
        }
    }
}
static __attribute__((unused)) int axft_differ(const uint64_t *a, const uint64_t *b, unsigned count)
{
    return memcmp(a, b, 8 * count) != 0;
}
static __attribute__((unused)) int axft_order(const uint64_t *a, const uint64_t *b, unsigned count, int is_signed)
{
    uint64_t flip = is_signed ? (uint64_t)1 << 63 : 0;
    for (unsigned k = count; k-- > 0; flip = 0)
        if (a[k] != b[k]) return (a[k] ^ flip) < (b[k] ^ flip) ? -1 : 1;
    return 0;
}
/* Division rounds towards minus infinity; what is divided by zero is never used. */
static __attribute__((unused)) uint64_t axft_div_u(uint64_t a, uint64_t b) { return b ? a / b : 0; }
static __attribute__((unused)) uint64_t axft_mod_u(uint64_t a, uint64_t b) { return b ? a % b : 0; }
static __attribute__((unused)) uint64_t axft_div_s(int64_t a, int64_t b)
{
    if (b == 0) return 0;
    if (b == -1) return 0 - (uint64_t)a;
    return (uint64_t)(a / b - (a % b != 0 && (a < 0) != (b < 0)));
}
static __attribute__((unused)) uint64_t axft_mod_s(int64_t a, int64_t b)
{
    if (b == 0 || b == -1) return 0;
    int64_t rest = a % b;
    return (uint64_t)(rest && (rest < 0) != (b < 0) ? rest + b : rest);
}

typedef struct {
    uint64_t cycle;  /* first cycle in which the bits differ */
    uint64_t until;  /* first cycle in which they no longer do; cycle + 1 for a flip */
    uint64_t mask;   /* bits of the eight bytes at `offset`, little endian */
    uint64_t offset; /* byte offset in axft_model */
    uint64_t operation;
} axft_injection;
enum { AXFT_FLIP = 0, AXFT_CLEAR = 1, AXFT_SET = 2 };
"""

INJECTION = r"""
/* Called when the cycle counter has reached `due`: acts on the state of the cycle that begins. */
AXFT_SLOW void axft_model_apply(axft_model *m)
{
    uint64_t now = m->cycle, next = UINT64_MAX;
    for (uint64_t k = 0; k < m->injections; k++) {
        const axft_injection *each = m->injection + k;
        if (each->cycle > now) {
            if (each->cycle < next) next = each->cycle;
            break;
        }
        if (each->operation == AXFT_FLIP ? each->cycle != now : each->until <= now) continue;
        uint64_t value;
        memcpy(&value, (uint8_t *)m + each->offset, 8);
        if (each->operation == AXFT_FLIP) value ^= each->mask;
        else if (each->operation == AXFT_CLEAR) value &= ~each->mask;
        else value |= each->mask;
        memcpy((uint8_t *)m + each->offset, &value, 8);
        if (each->operation != AXFT_FLIP && each->until > now + 1) next = now + 1;
    }
    m->due = next;
}
/* Install a table, sorted by cycle, that the caller keeps; it acts on the present cycle at once. */
AXFT_FAST void axft_model_inject(axft_model *m, const axft_injection *table, uint64_t count)
{
    m->injection = table;
    m->injections = count;
    m->due = UINT64_MAX;
    if (count) axft_model_apply(m);
}
"""

EPILOGUE = r"""
#define AXFT_EXPORT __attribute__((visibility("default")))
AXFT_EXPORT size_t axft_export_size(void) { return sizeof(axft_model); }
AXFT_EXPORT void axft_export_reset(axft_model *m) { axft_model_reset(m); }
AXFT_EXPORT void axft_export_eval(axft_model *m) { axft_model_eval(m); }
AXFT_EXPORT void axft_export_commit(axft_model *m) { axft_model_commit(m); }
AXFT_EXPORT void axft_export_inject(axft_model *m, const axft_injection *table, uint64_t count)
{
    axft_model_inject(m, table, count);
}
"""
