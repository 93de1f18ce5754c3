/* TFRecord files of PredictionLog, the format of TensorFlow Serving's warm-up files, and protocol buffers as far as that
   needs. No dependencies. Whatever is wrong with a file ends the program with one line. */

#ifndef RECORDS_H
#define RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MAX_RANK = 8, MAX_TENSORS = 8, NAME_SIZE = 256 };

/* Prints "serve: error: …" on standard error and exits with code 2. */
_Noreturn void die(const char *format, ...);

/* Zeroed memory, never NULL. */
void *allocate(size_t count, size_t size);

/* Protocol buffers: a message is a run of (number << 3 | wire type) keys, each followed by its value. */

typedef struct {
  const uint8_t *at, *end;
} Span;

typedef struct {
  uint32_t number, wire;
  uint64_t value; /* of varints */
  Span bytes;     /* of everything else */
} Field;

/* Takes the next field off the front of `message`; false at its end. */
bool next_field(Span *message, Field *field);

/* The last length-delimited field of that number, as protobuf reads it; empty when there is none. */
Span find(Span message, uint32_t number);

void copy_name(char name[NAME_SIZE], Span text);

/* What is asked and what is expected. */

typedef struct { /* a float32 tensor whose first axis is the batch */
  char name[NAME_SIZE];
  int rank;
  int64_t sides[MAX_RANK];
  size_t row, count; /* numbers in one example, and in all */
  float *values;
} Array;

typedef struct {
  int count;
  Array of[MAX_TENSORS];
} Arrays;

typedef struct {
  char signature[NAME_SIZE];
  Arrays inputs, outputs;
} Case;

typedef struct {
  int count;
  Case *of;
} Cases;

/* Every record of the file; each has at least one input, and its inputs have the same number of examples. */
Cases read_cases(const char *path);

void free_cases(Cases *cases);

#endif
