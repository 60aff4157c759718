/*
 * The client keeps a window of values under way (a closed loop), or sends them by a schedule (an open one, `--rate`) as far
 * as the window allows; its learner counts votes and delivers in order. A value's latency counts from its sending; in an open
 * loop from its turn in the schedule, sent or not: what never comes back counts with the time it was waited for.
 */
#include <stdio.h>
#include <string.h>

#include "floor.h"

#define LATENCY_US ((1u << 24) - 1) /* longer ones count as this */
#define EXACT_BITS 10
#define WARM_UP_SECONDS 0.3
#define RELEASE_SECONDS 50e-6 /* an open loop sends no oftener, as that of kpaxos */
#define DRAIN_SECONDS 0.5 /* what is under way at the end gets this long */

struct instance {
  uint64_t iid;
  uint32_t votes; /* a bit an acceptor */
  uint16_t values;
  bool has_values;
  double begun[(FRAME_BYTES - ETHERNET_HEADER) / 8]; /* each value begins with the time its latency counts from */
};

struct client {
  const struct settings *settings;
  struct link *link;
  struct instance *instances;
  uint32_t *latencies; /* how often each number of microseconds */
  uint64_t next; /* instance to deliver */
  uint32_t quorum;
  uint64_t limit; /* values that may be sent; of an open loop, those whose turn has come */
  uint64_t sent;
  uint64_t answered;
  uint64_t expected; /* of an open loop: the value to come back next */
  uint64_t delivered; /* while measuring, and their instances */
  uint64_t delivered_instances;
  double now;
  double start;
  double from; /* measuring */
  double until;
  double release; /* of an open loop: not before */
};

static struct instance *instance_of(struct client *client, uint64_t iid) {
  struct instance *instance = &client->instances[iid % INSTANCES];
  if (instance->iid != iid) {
    instance->iid = iid;
    instance->votes = 0;
    instance->has_values = false;
  }
  return instance;
}

/* When a value of an open loop has its turn. */
static double turn_of(const struct client *client, uint64_t value) {
  return client->start + (double)value / client->settings->rate;
}

/* Long ones are rounded up to one of 512 steps of their power of two, as in kpaxos. */
static uint32_t step_of(uint32_t us) {
  if (us >> EXACT_BITS == 0) return us;
  unsigned step_bits = 32 - EXACT_BITS - (unsigned)__builtin_clz(us);
  return us | ((1u << step_bits) - 1);
}

/* A value that was sent, or due, while nothing was measured does not count. */
static void count(struct client *client, double begun, double ended) {
  if (begun < client->from || begun >= client->until) return;
  double us = (ended - begun) * 1e6;
  client->latencies[us < LATENCY_US ? step_of((uint32_t)us) : LATENCY_US]++;
}

/* Values before this one are lost: they come back in order. */
static void give_up(struct client *client, uint64_t value) {
  for (; client->expected < value; client->expected++)
    count(client, turn_of(client, client->expected), client->until + DRAIN_SECONDS);
}

static void answer(struct client *client, double begun) {
  if (client->settings->rate > 0) {
    give_up(client, (uint64_t)((begun - client->start) * client->settings->rate + 0.5));
    client->expected++;
  }
  count(client, begun, client->now);
  client->answered++;
}

static void deliver(struct client *client) {
  bool measures = client->now >= client->from && client->now < client->until;
  for (;; client->next++) {
    struct instance *instance = &client->instances[client->next % INSTANCES];
    if (instance->iid != client->next || !instance->has_values) return;
    if ((uint32_t)__builtin_popcount(instance->votes) < client->quorum) return;
    for (unsigned i = 0; i < instance->values; i++) answer(client, instance->begun[i]);
    if (measures) client->delivered += instance->values;
    if (measures) client->delivered_instances++;
  }
}

static void hear(void *self, const struct message_header *header, const uint8_t *values) {
  struct client *client = self;
  if (header->type == ACCEPT) {
    struct instance *instance = instance_of(client, header->iid);
    if (header->size != client->settings->size) return;
    for (unsigned i = 0; i < header->values; i++) memcpy(&instance->begun[i], values + (size_t)i * header->size, 8);
    instance->values = header->values;
    instance->has_values = true;
  } else if (header->type == ACCEPTED && header->acceptor < MAX_ACCEPTORS) {
    for (unsigned i = 0; i < header->values; i++) {
      uint64_t iid = header->iid + i;
      if (iid >= client->next) instance_of(client, iid)->votes |= 1u << header->acceptor;
    }
  }
}

/* How many values may be sent now. */
static uint32_t sendable(const struct client *client) {
  uint64_t room = client->settings->window - (client->sent - client->answered);
  uint64_t waiting = client->limit - client->sent;
  return (uint32_t)(waiting < room ? waiting : room);
}

static void send_values(struct client *client) {
  const struct settings *settings = client->settings;
  uint32_t fit = (FRAME_BYTES - ETHERNET_HEADER - (uint32_t)sizeof(struct message_header)) / settings->size;
  uint32_t most = settings->packs ? fit : 1;
  for (uint32_t values, left = sendable(client); left > 0; left -= values) {
    values = left < most ? left : most;
    struct message_header *header = link_frame(client->link, settings->proposer);
    uint8_t *value = (uint8_t *)(header + 1);
    header->type = SUBMIT;
    header->values = (uint16_t)values;
    header->size = settings->size;
    for (uint32_t i = 0; i < values; i++, value += settings->size) {
      double begun = settings->rate > 0 ? turn_of(client, client->sent + i) : client->now;
      memset(value, 'x', settings->size);
      memcpy(value, &begun, 8);
    }
    link_frame_length(client->link, (size_t)values * settings->size);
    client->sent += values;
  }
  link_flush(client->link);
}

/* Values of an open loop whose turn has come; what is due soon after a release waits for the next one. */
static void release(struct client *client) {
  if (client->settings->rate == 0 || client->now < client->release) return;
  double by = client->now < client->until ? client->now : client->until;
  uint64_t due = (uint64_t)((by - client->start) * client->settings->rate) + 1;
  if (due <= client->limit) return;
  client->limit = due;
  client->release = client->now + RELEASE_SECONDS;
}

/* Until then there is nothing to do unless a frame comes. */
static double idle_until(const struct client *client) {
  bool is_full = client->sent < client->limit;
  if (client->settings->rate == 0 || is_full) return client->until;
  double turn = turn_of(client, client->limit);
  double next = turn > client->release ? turn : client->release;
  return next < client->until ? next : client->until;
}

static void take_turn(struct client *client, double wait_until) {
  (void)link_receive(client->link, wait_until - now_seconds(), hear, client);
  client->now = now_seconds();
  deliver(client);
}

/* What did not come back when nothing new was sent for a moment is lost. */
static void drain(struct client *client) {
  double end = client->until + DRAIN_SECONDS;
  client->release = 0;
  release(client);
  if (client->settings->rate == 0) client->limit = client->sent;
  while (client->answered < client->limit && client->now < end) {
    send_values(client);
    take_turn(client, end);
  }
  if (client->settings->rate > 0) give_up(client, client->limit);
}

/* Latencies as pairs: microseconds, how often. */
static void report(const struct client *client) {
  printf("{\"valuesPerSecond\":%.0f,\"values\":%llu,\"instances\":%llu,\"lost\":%llu,\"latencies\":[",
         (double)client->delivered / client->settings->seconds, (unsigned long long)client->delivered,
         (unsigned long long)client->delivered_instances, (unsigned long long)(client->limit - client->answered));
  const char *between = "";
  for (uint32_t us = 0; us <= LATENCY_US; us++) {
    if (client->latencies[us] == 0) continue;
    printf("%s%u,%u", between, us, client->latencies[us]);
    between = ",";
  }
  printf("]}\n");
}

void run_client(const struct settings *settings, struct link *link) {
  struct instance *instances = memory(INSTANCES, sizeof(struct instance));
  uint32_t *latencies = memory(LATENCY_US + 1, sizeof(uint32_t));
  say_ready();
  double now = now_seconds();
  struct client client = {
      .settings = settings,
      .link = link,
      .instances = instances,
      .latencies = latencies,
      .next = 1,
      .quorum = settings->acceptors / 2 + 1,
      .limit = settings->rate > 0 ? 0 : UINT64_MAX,
      .now = now,
      .start = now,
      .from = now + WARM_UP_SECONDS,
      .until = now + WARM_UP_SECONDS + settings->seconds,
  };
  while (client.now < client.until) {
    release(&client);
    send_values(&client);
    take_turn(&client, idle_until(&client));
  }
  drain(&client);
  report(&client);
}
