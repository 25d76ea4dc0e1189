#include "words.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* FNV-1a, whose result is the same whatever the byte order of the machine. */
static uint32_t hash(const char *text, size_t length)
{
    uint32_t value = 2166136261u;
    for (size_t i = 0; i < length; i++) {
        value = (value ^ (unsigned char)text[i]) * 16777619u;
    }
    return value;
}

static struct word *slot(const struct words *words, const char *text, size_t length)
{
    size_t mask = words->capacity - 1;
    for (size_t i = hash(text, length) & mask;; i = (i + 1) & mask) {
        struct word *word = &words->table[i];
        if (word->text == NULL) {
            return word;
        }
        if (strlen(word->text) == length && memcmp(word->text, text, length) == 0) {
            return word;
        }
    }
}

static bool grow(struct words *words)
{
    struct words larger = {.capacity = words->capacity ? 2 * words->capacity : 64, .size = words->size};
    larger.table = calloc(larger.capacity, sizeof *larger.table);
    if (larger.table == NULL) {
        return false;
    }
    for (size_t i = 0; i < words->capacity; i++) {
        struct word *word = &words->table[i];
        if (word->text != NULL) {
            *slot(&larger, word->text, strlen(word->text)) = *word;
        }
    }
    free(words->table);
    *words = larger;
    return true;
}

bool words_add(struct words *words, const char *text, size_t length)
{
    if (4 * (words->size + 1) > 3 * words->capacity && !grow(words)) {
        return false;
    }
    struct word *word = slot(words, text, length);
    if (word->text == NULL) {
        word->text = malloc(length + 1);
        if (word->text == NULL) {
            return false;
        }
        memcpy(word->text, text, length);
        word->text[length] = '\0';
        words->size++;
    }
    word->count++;
    return true;
}

static int by_rank(const void *left, const void *right)
{
    const struct word *a = left;
    const struct word *b = right;
    if ((a->text == NULL) != (b->text == NULL)) {
        return a->text == NULL ? 1 : -1;
    }
    if (a->text == NULL) {
        return 0;
    }
    if (a->count != b->count) {
        return a->count < b->count ? 1 : -1;
    }
    return strcmp(a->text, b->text);
}

void words_rank(struct words *words)
{
    if (words->capacity > 0) {
        qsort(words->table, words->capacity, sizeof *words->table, by_rank);
    }
}

void words_free(struct words *words)
{
    for (size_t i = 0; i < words->capacity; i++) {
        free(words->table[i].text);
    }
    free(words->table);
    *words = (struct words){0};
}
