/*
 * floor ROLE INTERFACE --id N --acceptors N --proposer MAC --client MAC
 *       [--window N --size N --seconds N --rate N --packs --spins --votes --learns --scheduling auto|normal|realtime]
 */
#include <err.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "floor.h"

void *memory(size_t count, size_t bytes) {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE;
  void *all = mmap(NULL, count * bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (all == MAP_FAILED) err(1, "memory");
  return all;
}

void say_ready(void) {
  fprintf(stderr, "ready\n");
}

static void read_mac(const char *text, uint8_t mac[6]) {
  unsigned bytes[6];
  int read = sscanf(text, "%x:%x:%x:%x:%x:%x", bytes, bytes + 1, bytes + 2, bytes + 3, bytes + 4, bytes + 5);
  if (read != 6) errx(2, "%s is no MAC address", text);
  for (int i = 0; i < 6; i++) mac[i] = (uint8_t)bytes[i];
}

static uint32_t read_number(const char *text, uint32_t least, uint32_t most) {
  char *end;
  unsigned long number = strtoul(text, &end, 10);
  if (*end != '\0' || number < least || number > most) errx(2, "%s: a number from %u to %u", text, least, most);
  return (uint32_t)number;
}

static double read_positive(const char *text) {
  char *end;
  double number = strtod(text, &end);
  if (*end != '\0' || !(number > 0) || number > 1e7) errx(2, "%s: a number above 0, at most ten million", text);
  return number;
}

/*
 * As kpaxos's own setting: `auto` is woken without preempting whoever runs, `realtime` runs before all that is ordinary, and those of equal
 * priority do not preempt each other. Policies that whoever started it chose stay.
 */
static void schedule_as(const char *text) {
  static const struct sched_param ORDINARY = {0}, LOWEST = {.sched_priority = 1};
  if (sched_getscheduler(0) != SCHED_OTHER || strcmp(text, "normal") == 0) return;
  int failed;
  if (strcmp(text, "auto") == 0) failed = sched_setscheduler(0, SCHED_BATCH, &ORDINARY);
  else if (strcmp(text, "realtime") == 0) failed = sched_setscheduler(0, SCHED_RR, &LOWEST);
  else errx(2, "%s is no scheduling: auto, normal or realtime", text);
  if (failed != 0) err(1, "scheduling %s", text);
}

static struct settings read_settings(int count, char **words) {
  static const struct option OPTIONS[] = {
      {"id", required_argument, NULL, 'i'},       {"acceptors", required_argument, NULL, 'a'},
      {"proposer", required_argument, NULL, 'p'}, {"client", required_argument, NULL, 'c'},
      {"window", required_argument, NULL, 'w'},   {"size", required_argument, NULL, 's'},
      {"seconds", required_argument, NULL, 't'},  {"rate", required_argument, NULL, 'r'},
      {"packs", no_argument, NULL, 'k'},          {"spins", no_argument, NULL, 'b'},
      {"votes", no_argument, NULL, 'v'},          {"learns", no_argument, NULL, 'l'},
      {"scheduling", required_argument, NULL, 'o'}, {NULL, 0, NULL, 0},
  };
  struct settings settings = {.acceptors = 3, .window = 1, .size = 64, .seconds = 2};
  for (int letter; (letter = getopt_long(count, words, "", OPTIONS, NULL)) != -1;) {
    if (letter == 'i') settings.id = read_number(optarg, 0, MAX_ACCEPTORS - 1);
    else if (letter == 'a') settings.acceptors = read_number(optarg, 1, MAX_ACCEPTORS);
    else if (letter == 'p') read_mac(optarg, settings.proposer);
    else if (letter == 'c') read_mac(optarg, settings.client);
    else if (letter == 'w') settings.window = read_number(optarg, 1, INSTANCES / 2);
    else if (letter == 's') settings.size = read_number(optarg, 8, 1400);
    else if (letter == 't') settings.seconds = read_positive(optarg);
    else if (letter == 'r') settings.rate = read_positive(optarg);
    else if (letter == 'k') settings.packs = true;
    else if (letter == 'b') settings.spins = true;
    else if (letter == 'v') settings.votes = true;
    else if (letter == 'l') settings.learns = true;
    else if (letter == 'o') schedule_as(optarg);
    else exit(2);
  }
  if (count - optind != 2) errx(2, "which role, on which interface?");
  settings.role = words[optind];
  settings.interface = words[optind + 1];
  return settings;
}

int main(int count, char **words) {
  struct settings settings = read_settings(count, words);
  struct link *link = link_open(settings.interface, settings.spins);
  if (strcmp(settings.role, "acceptor") == 0) run_acceptor(&settings, link);
  else if (strcmp(settings.role, "proposer") == 0) run_proposer(&settings, link);
  else if (strcmp(settings.role, "client") == 0) run_client(&settings, link);
  else errx(2, "%s is no role: acceptor, proposer or client", settings.role);
  return 0;
}
