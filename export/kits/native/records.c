#include "records.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FLOAT32 = 1 }; /* DT_FLOAT of tensorflow.DataType */
static const size_t MOST_NUMBERS = (size_t)1 << 30; /* a damaged shape must not ask for all memory */

void die(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("serve: error: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  exit(2);
}

void *allocate(size_t count, size_t size) {
  void *memory = calloc(count ? count : 1, size);
  if (!memory) die("out of memory for %zu times %zu bytes", count, size);
  return memory;
}

static uint64_t varint(Span *span) {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 64 && span->at < span->end; shift += 7) {
    uint8_t byte = *span->at++;
    value |= (uint64_t)(byte & 127) << shift;
    if (byte < 128) return value;
  }
  die("a message ends within a number, or is no protocol buffer");
}

bool next_field(Span *message, Field *field) {
  if (message->at >= message->end) return false;
  uint64_t key = varint(message), size = 0;
  *field = (Field){.number = (uint32_t)(key >> 3), .wire = key & 7};
  if (field->wire == 0) field->value = varint(message);
  else if (field->wire == 1) size = 8;
  else if (field->wire == 2) size = varint(message);
  else if (field->wire == 5) size = 4;
  else die("a message has a field of wire type %u, or is no protocol buffer", field->wire);
  if (size > (uint64_t)(message->end - message->at)) die("a field of a message is cut short");
  field->bytes = (Span){message->at, message->at + size};
  message->at += size;
  return true;
}

Span find(Span message, uint32_t number) {
  Span found = {NULL, NULL};
  for (Field field; next_field(&message, &field);)
    if (field.number == number && field.wire == 2) found = field.bytes;
  return found;
}

void copy_name(char name[NAME_SIZE], Span text) {
  size_t size = (size_t)(text.end - text.at);
  if (size >= NAME_SIZE) die("a name of %zu characters is too long", size);
  if (size) memcpy(name, text.at, size);
  name[size] = 0;
}

/* TensorProto: dtype = 1, tensor_shape = 2 { dim = 2 { size = 1 } }, tensor_content = 4, float_val = 5. */
static void read_tensor(Span proto, Array *array) {
  Span content = {NULL, NULL};
  size_t given = 0, room = 0;
  uint64_t dtype = 0;
  for (Field field; next_field(&proto, &field);) {
    if (field.number == 1) dtype = field.value;
    if (field.number == 4) content = field.bytes;
    if (field.number == 2) {
      for (Field dim; next_field(&field.bytes, &dim);) {
        if (dim.number != 2) continue;
        if (array->rank == MAX_RANK) die("tensor '%s' has more than %d axes", array->name, MAX_RANK);
        int64_t side = 0; /* a side of 0 is not written at all */
        for (Field size; next_field(&dim.bytes, &size);)
          if (size.number == 1) side = (int64_t)size.value;
        if (side < 0 || side > 1 << 24) die("tensor '%s' has a side of %lld", array->name, (long long)side);
        array->sides[array->rank++] = side;
      }
    }
    if (field.number == 5) { /* packed or one by one, both are legal */
      size_t more = (size_t)(field.bytes.end - field.bytes.at) / sizeof(float);
      if (given + more > room) {
        room = 2 * (given + more);
        array->values = realloc(array->values, room * sizeof(float));
        if (!array->values) die("out of memory for %zu numbers", room);
      }
      memcpy(array->values + given, field.bytes.at, more * sizeof(float));
      given += more;
    }
  }
  if (dtype != FLOAT32) die("tensor '%s' is of type %llu, not float32", array->name, (unsigned long long)dtype);
  if (array->rank == 0) die("tensor '%s' has no batch axis", array->name);
  array->row = 1;
  for (int i = 1; i < array->rank; i++) {
    array->row *= (size_t)array->sides[i];
    if (array->row > MOST_NUMBERS) die("tensor '%s' is too large", array->name);
  }
  array->count = array->row * (size_t)array->sides[0];
  if (array->count > MOST_NUMBERS) die("tensor '%s' is too large", array->name);
  if (content.at) {
    given = (size_t)(content.end - content.at) / sizeof(float);
    free(array->values);
    array->values = allocate(given, sizeof(float));
    memcpy(array->values, content.at, given * sizeof(float));
  }
  if (given == 0 || given > array->count || (content.at && given < array->count))
    die("tensor '%s' has %zu numbers where its shape has %zu", array->name, given, array->count);
  array->values = realloc(array->values, array->count * sizeof(float));
  if (!array->values) die("out of memory for %zu numbers", array->count);
  for (size_t i = given; i < array->count; i++) array->values[i] = array->values[given - 1]; /* the last one goes on */
}

/* A map<string, TensorProto> in field `number`: entries { key = 1, value = 2 }. */
static void read_tensors(Span message, uint32_t number, Arrays *arrays) {
  for (Field field; next_field(&message, &field);) {
    if (field.number != number || field.wire != 2) continue;
    if (arrays->count == MAX_TENSORS) die("a record has more than %d tensors", MAX_TENSORS);
    Array *array = &arrays->of[arrays->count++];
    copy_name(array->name, find(field.bytes, 1));
    read_tensor(find(field.bytes, 2), array);
  }
}

/* PredictionLog { predict_log = 6 { request = 1 { model_spec = 1 { signature_name = 3 }, inputs = 2 },
   response = 2 { outputs = 1 } } }. */
static void read_case(Span log, Case *found) {
  Span predict = find(log, 6), request = find(predict, 1);
  if (!request.at) die("a record is no PredictionLog with a predict request");
  copy_name(found->signature, find(find(request, 1), 3));
  if (!found->signature[0]) strcpy(found->signature, "serving_default");
  read_tensors(request, 2, &found->inputs);
  read_tensors(find(predict, 2), 1, &found->outputs);
  if (!found->inputs.count) die("a request for signature '%s' has no inputs", found->signature);
  for (int i = 1; i < found->inputs.count; i++)
    if (found->inputs.of[i].sides[0] != found->inputs.of[0].sides[0])
      die("the inputs of a request for signature '%s' differ in their number of examples", found->signature);
}

void free_cases(Cases *cases) {
  for (int i = 0; i < cases->count; i++) {
    for (int k = 0; k < cases->of[i].inputs.count; k++) free(cases->of[i].inputs.of[k].values);
    for (int k = 0; k < cases->of[i].outputs.count; k++) free(cases->of[i].outputs.of[k].values);
  }
  free(cases->of);
}

/* TFRecord: length (8 bytes), masked CRC-32C of the length, the data, masked CRC-32C of the data; little endian. */

static uint32_t masked_crc(const uint8_t *data, size_t size) {
  static uint32_t table[256];
  for (uint32_t i = 0; !table[255] && i < 256; i++) {
    uint32_t bits = i;
    for (int k = 0; k < 8; k++) bits = bits & 1 ? bits >> 1 ^ 0x82f63b78u : bits >> 1;
    table[i] = bits;
  }
  uint32_t crc = ~0u;
  for (size_t i = 0; i < size; i++) crc = crc >> 8 ^ table[(crc ^ data[i]) & 255];
  crc = ~crc;
  return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

Cases read_cases(const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file) die("%s: cannot be read", path);
  Cases cases = {0, NULL};
  uint8_t head[12];
  for (size_t got; (got = fread(head, 1, 12, file)) > 0;) {
    uint64_t size;
    uint32_t crc;
    if (got < 12) die("%s: record %d is cut short", path, cases.count);
    memcpy(&size, head, 8);
    memcpy(&crc, head + 8, 4);
    if (masked_crc(head, 8) != crc || size > (uint64_t)1 << 31) die("%s: record %d is damaged", path, cases.count);
    uint8_t *data = allocate(size + 4, 1);
    if (fread(data, 1, size + 4, file) != size + 4) die("%s: record %d is cut short", path, cases.count);
    memcpy(&crc, data + size, 4);
    if (masked_crc(data, size) != crc) die("%s: record %d is damaged", path, cases.count);
    cases.of = realloc(cases.of, (size_t)(cases.count + 1) * sizeof(Case));
    if (!cases.of) die("out of memory for %d records", cases.count + 1);
    memset(&cases.of[cases.count], 0, sizeof(Case));
    read_case((Span){data, data + size}, &cases.of[cases.count++]);
    free(data);
  }
  if (ferror(file) || cases.count == 0) die("%s: has no records, or cannot be read", path);
  fclose(file);
  return cases;
}
