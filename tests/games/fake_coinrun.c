/* A game with the interface of the original CoinRun's library, for tests.

   Levels are corridors: the agent starts at 0, the coin lies at 3 + level seed mod 4,
   lava at -2. Pixels tell what the engine knows. Every call is written, a line each,
   to the file that FAKE_COINRUN_LOG names; a mistake of the caller's ends the process,
   as it does there. FAKE_COINRUN_CRASH=<n> ends it in the n-th step. The picture of
   a saw that it was given is copied to FAKE_COINRUN_SAW.

   Compiled with OTHER_SIZES, it is another build; with OTHER_LIBRARY, another library. */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_ACTIONS 7
#ifdef OTHER_SIZES
#define RES 96
#else
#define RES 64
#endif
#define VIDEORES 512
#define TIMEOUT 1000

bool USE_LEVEL_SET, PAINT_VEL_INFO, USE_HIGH_DIF;
int NUM_LEVELS;
int *LEVEL_SEEDS;

static void fail(const char *message) {
  fprintf(stderr, "fake engine: %s\n", message);
  abort();
}

static void require(bool condition, const char *message) {
  if (!condition) fail(message);
}

static FILE *log_file(void) {
  static FILE *file;
  const char *name = getenv("FAKE_COINRUN_LOG");
  if (!file && name) file = fopen(name, "w");
  return file;
}

#define LOG(...)                       \
  do {                                 \
    if (log_file()) {                  \
      fprintf(log_file(), __VA_ARGS__); \
      fflush(log_file());              \
    }                                  \
  } while (0)

/* The 32-bit Mersenne Twister. */
typedef struct {
  uint32_t state[624];
  int next;
} twister;

static void twister_seed(twister *t, uint32_t seed) {
  t->state[0] = seed;
  for (int i = 1; i < 624; i++)
    t->state[i] =
        1812433253u * (t->state[i - 1] ^ (t->state[i - 1] >> 30)) + (uint32_t)i;
  t->next = 624;
}

static uint32_t twister_draw(twister *t) {
  if (t->next == 624) {
    for (int i = 0; i < 624; i++) {
      uint32_t bits =
          (t->state[i] & 0x80000000u) | (t->state[(i + 1) % 624] & 0x7fffffffu);
      t->state[i] =
          t->state[(i + 397) % 624] ^ (bits >> 1) ^ (bits & 1 ? 0x9908b0dfu : 0);
    }
    t->next = 0;
  }
  uint32_t y = t->state[t->next++];
  y ^= y >> 11;
  y ^= (y << 7) & 0x9d2c5680u;
  y ^= (y << 15) & 0xefc60000u;
  return y ^ (y >> 18);
}

typedef struct {
  int level_seed, x, time, action;
  bool terminated, done;
  float reward;
} agent;

static enum { NEW, HAS_ARGS, HAS_MONITOR, RUNNING, SHUT_DOWN } stage;
static twister levels;
typedef struct {
  agent *agents;
  int n_agents;
  bool wants_hires, stepping;
} vector;

#define MOST_VECTORS 1000
static vector vectors[MOST_VECTORS];
static int n_created, n_open;

static vector *find(int handle) {
  require(handle > 0 && handle <= n_created && vectors[handle].agents,
          "unknown handle");
  return &vectors[handle];
}

#ifndef OTHER_LIBRARY
int get_NUM_ACTIONS(void) { return N_ACTIONS; }
#endif
int get_RES_W(void) { return RES; }
int get_RES_H(void) { return RES; }
int get_VIDEORES(void) { return VIDEORES; }

void initialize_args(int *args) {
  LOG("initialize_args %d %d %d %d %d %d %d\n", args[0], args[1], args[2], args[3],
      args[4], args[5], args[6]);
  require(stage == NEW || (stage == RUNNING && !n_open), "initialize_args out of order");
  if (stage == NEW) stage = HAS_ARGS;
  USE_HIGH_DIF = args[0] == 1;
  NUM_LEVELS = args[1];
  PAINT_VEL_INFO = args[2] == 1;
  if (NUM_LEVELS > 0 && args[5] != -1) {
    twister chosen;
    twister_seed(&chosen, (uint32_t)args[5]);
    USE_LEVEL_SET = true;
    LEVEL_SEEDS = malloc(sizeof(int) * (size_t)NUM_LEVELS);
    for (int i = 0; i < NUM_LEVELS; i++) LEVEL_SEEDS[i] = (int)twister_draw(&chosen);
  }
  twister_seed(&levels, (uint32_t)args[6]);
}

void initialize_set_monitor_dir(const char *folder, int policy) {
  LOG("initialize_set_monitor_dir '%s' %d\n", folder, policy);
  require(stage == HAS_ARGS, "initialize_set_monitor_dir out of order");
  stage = HAS_MONITOR;
}

void init(int threads) {
  LOG("init %d\n", threads);
  require(stage == HAS_MONITOR, "init out of order, or twice");
  const char *folder = getenv("COINRUN_RESOURCES_PATH");
  require(folder != NULL, "no COINRUN_RESOURCES_PATH");
  char name[4096];
  snprintf(name, sizeof name, "%s/kenney/Enemies/sawHalf.png", folder);
  FILE *picture = fopen(name, "rb");
  require(picture != NULL, "no picture of a saw");
  const char *copy_name = getenv("FAKE_COINRUN_SAW");
  FILE *copy = copy_name ? fopen(copy_name, "wb") : NULL;
  for (int byte; copy && (byte = fgetc(picture)) != EOF;) fputc(byte, copy);
  if (copy) fclose(copy);
  fclose(picture);
  LOG("assets %s\n", folder);
  stage = RUNNING;
}

static void reset(agent *a) {
  uint32_t raw = twister_draw(&levels);
  a->level_seed = (int)raw;
  if (NUM_LEVELS > 0) a->level_seed = (int)(raw % (uint32_t)NUM_LEVELS);
  if (USE_LEVEL_SET) a->level_seed = LEVEL_SEEDS[a->level_seed];
  a->x = a->time = 0;
  a->terminated = false;
}

int vec_create(int game_type, int nenvs, int lump_n, bool want_hires, float zoom) {
  LOG("vec_create %d %d %d %d %g\n", game_type, nenvs, lump_n, want_hires, zoom);
  require(stage == RUNNING, "vec_create before init");
  require(n_created < MOST_VECTORS - 1, "too many vectors");
  n_open++;
  vector *v = &vectors[++n_created];
  v->n_agents = nenvs;
  v->wants_hires = want_hires;
  v->agents = calloc((size_t)nenvs, sizeof *v->agents);
  for (int n = 0; n < nenvs; n++) reset(&v->agents[n]);
  return n_created;
}

void vec_step_async_discrete(int which, int32_t *actions) {
  vector *v = find(which);
  require(!v->stepping, "a step within a step");
  v->stepping = true;
  LOG("step %d:", which);
  for (int n = 0; n < v->n_agents; n++) {
    require(actions[n] >= 0 && actions[n] < N_ACTIONS, "no such action");
    v->agents[n].action = actions[n];
    LOG(" %d", actions[n]);
  }
  LOG("\n");
}

static void step(agent *a) {
  /* The end of the last step shows now, after the agent has moved once more; what it
     takes on the way is paid. One jump reaches the coin from the lava. */
  a->done = a->terminated;
  a->time++;
  a->x += (a->action == 1 || a->action == 4) - (a->action == 2 || a->action == 5);
  bool takes = a->x == 3 + (int)((uint32_t)a->level_seed % 4);
  if ((takes && !a->done) || (a->done && a->x == -2 && a->action == 3)) {
    a->reward = 10;
    a->terminated = true;
  }
  if (a->x == -2 || a->time > TIMEOUT) a->terminated = true;
  if (a->done) reset(a);
}

static void paint(const agent *a, uint8_t *rgb, int side) {
  memset(rgb, a->x + 100, (size_t)(side * side * 3));
  for (int i = 0; i < 4; i++) rgb[i] = (uint8_t)((uint32_t)a->level_seed >> (8 * i));
  rgb[4] = (uint8_t)a->time;
  rgb[5] = (uint8_t)(a->time >> 8);
  rgb[6] = (uint8_t)a->action;
  rgb[7] = USE_HIGH_DIF;
  rgb[8] = PAINT_VEL_INFO;
}

void vec_wait(int which, uint8_t *rgb, uint8_t *hires, float *rew, bool *done) {
  vector *v = find(which);
  if (v->stepping) {
    const char *crash = getenv("FAKE_COINRUN_CRASH");
    static int n_steps;
    if (crash && atoi(crash) == ++n_steps) fail("crashed on demand");
    for (int n = 0; n < v->n_agents; n++) step(&v->agents[n]);
  }
  /* Without a step there is nothing painted. */
  for (int n = 0; n < v->n_agents; n++) {
    agent *a = &v->agents[n];
    if (v->stepping) paint(a, rgb + n * RES * RES * 3, RES);
    if (v->stepping && v->wants_hires) paint(a, hires + n * VIDEORES * VIDEORES * 3, VIDEORES);
    rew[n] = a->reward;
    done[n] = a->done;
    a->reward = 0;
    a->done = false;
  }
  LOG("wait %d\n", which);
  v->stepping = false;
}

void vec_close(int which) {
  LOG("vec_close %d\n", which);
  vector *v = find(which);
  require(!v->stepping, "closed within a step");
  free(v->agents);
  v->agents = NULL;
  n_open--;
}

void coinrun_shutdown(void) {
  LOG("coinrun_shutdown\n");
  require(stage == RUNNING && !n_open, "shut down out of order");
  stage = SHUT_DOWN;
}

__attribute__((destructor)) static void at_exit(void) {
  if (stage == RUNNING) {
    LOG("aborted at exit\n");
    fail("the process ends without coinrun_shutdown");
  }
  LOG("exit\n");
}
