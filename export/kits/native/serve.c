/* Answers requests with a SavedModel through TensorFlow's C API: no Python, and the loader that TensorFlow Serving uses.

       serve SAVED_MODEL CASES WARMUP_ANSWERS BATCHES TIMED REQUESTS

   CASES and WARMUP_ANSWERS are TFRecord files of PredictionLog, the format of Serving's warm-up files: a request and the
   answer that is expected. A case is answered at every batch size of BATCHES (1,2,3 …) up to its own, with the first rows
   of its tensors. Then SAVED_MODEL/assets.extra/tf_serving_warmup_requests is replayed, record i being held to answer i
   of WARMUP_ANSWERS; the TIMED batch sizes are timed; and REQUESTS small requests are answered in a row, every answer
   compared, while the resident memory is read ten times.

   Standard output: one JSON object. Exit code 0, or 2 with one line on standard error. Errors are reported, not judged:
   that is left to the caller. */

#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "records.h"
#include "tensorflow/c/c_api.h"

enum { MAX_SIGNATURES = 16, MAX_BATCHES = 512, SAMPLES = 10, SOAK_BATCH = 8, MAX_RUNS = 1000 };
static const double TIMED_SECONDS = 0.3; /* each timed batch size runs at least this long */

static void check(const TF_Status *status, const char *doing) {
  if (TF_GetCode(status) != TF_OK) die("%s: %s", doing, TF_Message(status));
}

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* What is in use: memory that was freed is given back first, or a leak would hide in what a large batch left behind. */
static long resident_kib(void) {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
  FILE *file = fopen("/proc/self/statm", "r");
  long total, resident;
  if (!file || fscanf(file, "%ld %ld", &total, &resident) != 2) die("cannot read /proc/self/statm");
  fclose(file);
  return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

/* The model: its session, and its signatures as its MetaGraphDef has them. */

typedef struct {
  char name[NAME_SIZE];
  TF_Output tensor;
} Port;

typedef struct {
  char name[NAME_SIZE];
  int inputs, outputs;
  Port input[MAX_TENSORS], output[MAX_TENSORS];
  long requests;
  double worst;
} Signature;

typedef struct {
  TF_Graph *graph;
  TF_Session *session;
  int count;
  Signature of[MAX_SIGNATURES];
} Model;

/* SignatureDef holds maps of TensorInfo { name = 1 }, whose name is "operation:output". */
static int read_ports(const Model *model, Span signature, uint32_t number, Port ports[MAX_TENSORS]) {
  int count = 0;
  for (Field field; next_field(&signature, &field);) {
    if (field.number != number || field.wire != 2) continue;
    if (count == MAX_TENSORS) die("a signature has more than %d tensors", MAX_TENSORS);
    char tensor[NAME_SIZE];
    copy_name(ports[count].name, find(field.bytes, 1));
    copy_name(tensor, find(find(field.bytes, 2), 1));
    char *colon = strrchr(tensor, ':');
    if (!colon) die("'%s' names no tensor", tensor);
    *colon = 0;
    TF_Operation *operation = TF_GraphOperationByName(model->graph, tensor);
    if (!operation) die("the graph has no operation '%s'", tensor);
    ports[count++].tensor = (TF_Output){operation, atoi(colon + 1)};
  }
  return count;
}

static void load(Model *model, const char *path, TF_Status *status) {
  const char *tags[] = {"serve"};
  TF_SessionOptions *options = TF_NewSessionOptions();
  TF_Buffer *meta = TF_NewBuffer();
  model->graph = TF_NewGraph();
  model->session = TF_LoadSessionFromSavedModel(options, NULL, path, tags, 1, model->graph, meta, status);
  check(status, path);
  Span bytes = {meta->data, (const uint8_t *)meta->data + meta->length};
  for (Field field; next_field(&bytes, &field);) {
    if (field.number != 5 || field.wire != 2) continue; /* signature_def */
    char name[NAME_SIZE];
    copy_name(name, find(field.bytes, 1));
    if (strncmp(name, "__", 2) == 0) continue; /* "__saved_model_init_op" is no signature that is served */
    if (model->count == MAX_SIGNATURES) die("the model has more than %d signatures", MAX_SIGNATURES);
    Signature *signature = &model->of[model->count++];
    strcpy(signature->name, name);
    signature->inputs = read_ports(model, find(field.bytes, 2), 1, signature->input);
    signature->outputs = read_ports(model, find(field.bytes, 2), 2, signature->output);
  }
  TF_DeleteBuffer(meta);
  TF_DeleteSessionOptions(options);
}

static const Array *named(const Arrays *arrays, const char *name, const char *signature) {
  for (int i = 0; i < arrays->count; i++)
    if (strcmp(arrays->of[i].name, name) == 0) return &arrays->of[i];
  die("signature '%s': the record has no tensor '%s'", signature, name);
}

/* Largest |found - expected| over the first `rows` examples; NaN when either is, infinite where shapes differ. */
static double difference(const TF_Tensor *found, const Array *expected, int64_t rows) {
  bool alike = TF_TensorType(found) == TF_FLOAT && TF_NumDims(found) == expected->rank && TF_Dim(found, 0) == rows;
  for (int i = 1; alike && i < expected->rank; i++) alike = TF_Dim(found, i) == expected->sides[i];
  if (!alike || rows > expected->sides[0]) return INFINITY;
  const float *values = TF_TensorData(found);
  double worst = 0;
  for (size_t i = 0; i < (size_t)rows * expected->row; i++) {
    double error = fabs((double)values[i] - (double)expected->values[i]);
    if (isnan(error)) return error;
    if (error > worst) worst = error;
  }
  return worst;
}

/* Runs the first `rows` examples of `inputs`, and compares where `expected` is given. */
static void answer(Model *model, const Case *asked, const Arrays *expected, int64_t rows, TF_Status *status) {
  Signature *signature = NULL;
  for (int i = 0; i < model->count; i++)
    if (strcmp(model->of[i].name, asked->signature) == 0) signature = &model->of[i];
  if (!signature) die("the model has no signature '%s'", asked->signature);
  TF_Output in[MAX_TENSORS], out[MAX_TENSORS];
  TF_Tensor *given[MAX_TENSORS], *found[MAX_TENSORS] = {NULL};
  for (int i = 0; i < signature->inputs; i++) {
    const Array *array = named(&asked->inputs, signature->input[i].name, signature->name);
    int64_t sides[MAX_RANK];
    memcpy(sides, array->sides, sizeof sides);
    sides[0] = rows;
    size_t size = (size_t)rows * array->row * sizeof(float);
    given[i] = TF_AllocateTensor(TF_FLOAT, sides, array->rank, size);
    if (!given[i]) die("out of memory for a tensor of %zu bytes", size);
    memcpy(TF_TensorData(given[i]), array->values, size);
    in[i] = signature->input[i].tensor;
  }
  for (int i = 0; i < signature->outputs; i++) out[i] = signature->output[i].tensor;
  TF_SessionRun(model->session, NULL, in, given, signature->inputs, out, found, signature->outputs, NULL, 0, NULL,
                status);
  check(status, signature->name);
  signature->requests++;
  for (int i = 0; i < signature->inputs; i++) TF_DeleteTensor(given[i]);
  for (int i = 0; i < signature->outputs; i++) {
    if (expected) {
      double error = difference(found[i], named(expected, signature->output[i].name, signature->name), rows);
      if (!isnan(signature->worst) && !(error <= signature->worst)) signature->worst = error;
    }
    TF_DeleteTensor(found[i]);
  }
}

static int by_value(const void *left, const void *right) {
  double a = *(const double *)left, b = *(const double *)right;
  return (a > b) - (a < b);
}

/* Median seconds of one request of `rows` examples. */
static double timed(Model *model, const Case *asked, int64_t rows, TF_Status *status) {
  static double runs[MAX_RUNS];
  int count = 0;
  answer(model, asked, NULL, rows, status); /* the first call of a new shape prepares its kernels */
  for (double start = seconds(); count < MAX_RUNS && (count < 5 || seconds() - start < TIMED_SECONDS); count++) {
    double before = seconds();
    answer(model, asked, NULL, rows, status);
    runs[count] = seconds() - before;
  }
  qsort(runs, (size_t)count, sizeof *runs, by_value);
  return runs[count / 2];
}

static int read_batches(const char *text, int64_t batches[MAX_BATCHES]) {
  int count = 0;
  for (const char *at = text; *at;) {
    char *end;
    long long batch = strtoll(at, &end, 10);
    if (end == at || batch < 1 || (*end && *end != ',') || count == MAX_BATCHES) die("no list of batch sizes: %s", text);
    batches[count++] = batch;
    at = *end ? end + 1 : end;
  }
  return count;
}

static void print_number(double value) { /* JSON has no infinity and no NaN */
  isfinite(value) ? printf("%.9g", value) : printf("null");
}

/* Answers `wanted` requests of at most SOAK_BATCH examples, cases and batch sizes in turn, reading memory ten times. */
static void soak(Model *model, const Cases *cases, long wanted, TF_Status *status) {
  long resident[SAMPLES], done = 0;
  double start = seconds();
  for (int sample = 0; sample < SAMPLES; sample++) {
    for (; done < wanted * (sample + 1) / SAMPLES; done++) {
      const Case *asked = &cases->of[done % cases->count];
      int64_t most = asked->inputs.of[0].sides[0] < SOAK_BATCH ? asked->inputs.of[0].sides[0] : SOAK_BATCH;
      answer(model, asked, &asked->outputs, 1 + done / cases->count % most, status);
    }
    resident[sample] = resident_kib();
  }
  printf(", \"soak\": {\"requests\": %ld, \"seconds\": %.3f, \"resident_kib\": [", wanted, seconds() - start);
  for (int i = 0; i < SAMPLES; i++) printf("%s%ld", i ? ", " : "", resident[i]);
  printf("]}");
}

int main(int count, char **arguments) {
  if (count != 7) die("usage: serve SAVED_MODEL CASES WARMUP_ANSWERS BATCHES TIMED REQUESTS");
  static Model model;
  int64_t batches[MAX_BATCHES];
  int sizes = read_batches(arguments[4], batches);
  TF_Status *status = TF_NewStatus();
  double start = seconds();
  load(&model, arguments[1], status);
  printf("{\"tensorflow\": \"%s\", \"load_seconds\": %.3f, \"loaded_kib\": %ld", TF_Version(), seconds() - start,
         resident_kib());

  Cases cases = read_cases(arguments[2]);
  for (int i = 0; i < cases.count; i++)
    for (int k = 0; k < sizes; k++)
      if (batches[k] <= cases.of[i].inputs.of[0].sides[0])
        answer(&model, &cases.of[i], &cases.of[i].outputs, batches[k], status);

  char path[4096];
  if (snprintf(path, sizeof path, "%s/assets.extra/tf_serving_warmup_requests", arguments[1]) >= (int)sizeof path)
    die("%s: too long a path", arguments[1]);
  Cases warmup = read_cases(path), answers = read_cases(arguments[3]);
  if (warmup.count != answers.count) die("%d warm-up records, %d answers", warmup.count, answers.count);
  for (int i = 0; i < warmup.count; i++)
    answer(&model, &warmup.of[i], &answers.of[i].outputs, warmup.of[i].inputs.of[0].sides[0], status);
  printf(", \"warmup_records\": %d, \"images_per_second\": {", warmup.count);

  sizes = read_batches(arguments[5], batches);
  for (int i = 0; i < cases.count; i++) {
    printf("%s\"%s\": {", i ? ", " : "", cases.of[i].signature);
    for (int k = 0, printed = 0; k < sizes; k++)
      if (batches[k] <= cases.of[i].inputs.of[0].sides[0])
        printf("%s\"%lld\": %.2f", printed++ ? ", " : "", (long long)batches[k],
               (double)batches[k] / timed(&model, &cases.of[i], batches[k], status));
    printf("}");
  }
  printf("}");
  soak(&model, &cases, atol(arguments[6]), status);
  printf(", \"signatures\": {");
  for (int i = 0; i < model.count; i++) {
    printf("%s\"%s\": {\"requests\": %ld, \"max_abs\": ", i ? ", " : "", model.of[i].name, model.of[i].requests);
    print_number(model.of[i].worst);
    printf("}");
  }
  printf("}}\n");

  free_cases(&cases);
  free_cases(&warmup);
  free_cases(&answers);
  TF_CloseSession(model.session, status);
  TF_DeleteSession(model.session, status);
  TF_DeleteGraph(model.graph);
  TF_DeleteStatus(status);
  return 0;
}
