/* census: what a text on standard input is made of.
 *
 *     census              lines, words and bytes
 *     census --words N    the N most frequent words
 *     census --machine    the word size and byte order of the machine it was built for
 */

#include "words.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_WORD = 4096 };

static int usage(void)
{
    fputs("usage: census [--words N | --machine] <TEXT\n", stderr);
    return 2;
}

static int print_machine(void)
{
    const unsigned probe = 1;
    unsigned char first;
    memcpy(&first, &probe, 1);
    printf("%zu-bit %s-endian\n", sizeof(void *) * CHAR_BIT, first == 1 ? "little" : "big");
    return 0;
}

static int print_counts(void)
{
    unsigned long lines = 0, words = 0, bytes = 0;
    int inside = 0;
    for (int c = getchar(); c != EOF; c = getchar()) {
        bytes++;
        lines += c == '\n';
        words += !inside && !isspace(c);
        inside = !isspace(c);
    }
    printf("%lu %lu %lu\n", lines, words, bytes);
    return 0;
}

/* A word is a run of letters, in any case; of a longer one only the beginning counts. */
static int print_words(unsigned long limit)
{
    struct words words = {0};
    char text[LONGEST_WORD];
    size_t length = 0;
    int status = 0;
    for (int c = 0; c != EOF && status == 0;) {
        c = getchar();
        if (c != EOF && isalpha(c)) {
            if (length < sizeof text) {
                text[length++] = (char)tolower(c);
            }
        } else if (length > 0) {
            if (!words_add(&words, text, length)) {
                fputs("census: out of memory\n", stderr);
                status = 1;
            }
            length = 0;
        }
    }
    words_rank(&words);
    for (size_t i = 0; status == 0 && i < words.size && i < limit; i++) {
        printf("%lu %s\n", words.table[i].count, words.table[i].text);
    }
    words_free(&words);
    return status;
}

int main(int argc, char **argv)
{
    if (argc == 1) {
        return print_counts();
    }
    if (argc == 2 && strcmp(argv[1], "--machine") == 0) {
        return print_machine();
    }
    if (argc == 3 && strcmp(argv[1], "--words") == 0) {
        char *end;
        unsigned long limit = strtoul(argv[2], &end, 10);
        return isdigit((unsigned char)argv[2][0]) && *end == '\0' ? print_words(limit) : usage();
    }
    return usage();
}
