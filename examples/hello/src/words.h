#ifndef WORDS_H
#define WORDS_H

#include <stdbool.h>
#include <stddef.h>

struct word {
    char *text;
    unsigned long count;
};

/* The distinct words of a text. Zero-initialise it; words_free() releases what it grew. */
struct words {
    struct word *table; /* open addressing; a slot without text is free */
    size_t capacity;    /* a power of two, or 0 */
    size_t size;
};

/* Counts one more occurrence of a word; false when memory is exhausted. */
bool words_add(struct words *words, const char *text, size_t length);

/* Sorts the table in place, most frequent first, then by bytes; words_add() may not follow. */
void words_rank(struct words *words);

void words_free(struct words *words);

#endif
