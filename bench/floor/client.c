/* The client keeps a window of values under way; its learner counts votes and delivers in order. */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "floor.h"

#define LATENCY_US 1000000 /* longer ones count as this */
#define WARM_UP_SECONDS 0.3

struct instance {
  uint64_t iid;
  uint32_t votes; /* a bit an acceptor */
  uint16_t values;
  bool has_values;
  double sent[(FRAME_BYTES - ETHERNET_HEADER) / 8]; /* each value begins with the time it was sent */
};

struct client {
  const struct settings *settings;
  struct link *link;
  struct instance *instances;
  uint32_t *latencies; /* how often each number of microseconds */
  uint64_t next; /* instance to deliver */
  uint32_t quorum;
  uint32_t to_send;
  uint64_t delivered;
  uint64_t delivered_instances;
  double now;
  bool measures;
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

static void deliver(struct client *client) {
  for (;;) {
    struct instance *instance = &client->instances[client->next % INSTANCES];
    if (instance->iid != client->next || !instance->has_values) return;
    if ((uint32_t)__builtin_popcount(instance->votes) < client->quorum) return;
    for (unsigned i = 0; i < instance->values; i++) {
      double us = (client->now - instance->sent[i]) * 1e6;
      if (client->measures) client->latencies[us < LATENCY_US ? (uint32_t)us : LATENCY_US]++;
    }
    client->to_send += instance->values;
    if (client->measures) client->delivered += instance->values;
    if (client->measures) client->delivered_instances++;
    client->next++;
  }
}

static void hear(void *self, const struct message_header *header, const uint8_t *values) {
  struct client *client = self;
  if (header->type == ACCEPT) {
    struct instance *instance = instance_of(client, header->iid);
    if (header->size != client->settings->size) return;
    for (unsigned i = 0; i < header->values; i++) memcpy(&instance->sent[i], values + (size_t)i * header->size, 8);
    instance->values = header->values;
    instance->has_values = true;
  } else if (header->type == ACCEPTED && header->acceptor < MAX_ACCEPTORS) {
    for (unsigned i = 0; i < header->values; i++) {
      uint64_t iid = header->iid + i;
      if (iid >= client->next) instance_of(client, iid)->votes |= 1u << header->acceptor;
    }
  }
}

static void send_values(struct client *client) {
  const struct settings *settings = client->settings;
  uint32_t fit = (FRAME_BYTES - ETHERNET_HEADER - (uint32_t)sizeof(struct message_header)) / settings->size;
  uint32_t most = settings->packs ? fit : 1;
  while (client->to_send > 0) {
    uint32_t values = client->to_send < most ? client->to_send : most;
    struct message_header *header = link_frame(client->link, settings->proposer);
    uint8_t *value = (uint8_t *)(header + 1);
    header->type = SUBMIT;
    header->values = (uint16_t)values;
    header->size = settings->size;
    for (uint32_t i = 0; i < values; i++, value += settings->size) {
      memset(value, 'x', settings->size);
      memcpy(value, &client->now, 8);
    }
    link_frame_length(client->link, (size_t)values * settings->size);
    client->to_send -= values;
  }
  link_flush(client->link);
}

static uint32_t quantile(const struct client *client, double share) {
  uint64_t before = (uint64_t)((double)client->delivered * share);
  uint64_t seen = 0;
  for (uint32_t us = 0; us <= LATENCY_US; us++) {
    seen += client->latencies[us];
    if (seen > before) return us;
  }
  return 0;
}

static void report(const struct client *client, double seconds) {
  printf("{\"valuesPerSecond\":%.0f,\"p50\":%u,\"p90\":%u,\"p99\":%u,\"values\":%llu,\"instances\":%llu,\"lost\":%u}\n",
         (double)client->delivered / seconds, quantile(client, 0.5), quantile(client, 0.9), quantile(client, 0.99),
         (unsigned long long)client->delivered, (unsigned long long)client->delivered_instances,
         client->settings->window - client->to_send);
}

/* What did not come back when nothing was sent for a moment is lost. */
static void drain(struct client *client) {
  double until = now_seconds() + 0.5;
  while (client->to_send < client->settings->window && now_seconds() < until) {
    (void)link_receive(client->link, hear, client);
    deliver(client);
  }
}

void run_client(const struct settings *settings, struct link *link) {
  struct client client = {
      .settings = settings,
      .link = link,
      .instances = calloc(INSTANCES, sizeof(struct instance)),
      .latencies = calloc(LATENCY_US + 1, sizeof(uint32_t)),
      .next = 1,
      .quorum = settings->acceptors / 2 + 1,
      .to_send = settings->window,
  };
  if (client.instances == NULL || client.latencies == NULL) err(1, "memory");
  client.now = now_seconds();
  double from = client.now + WARM_UP_SECONDS;
  double until = from + settings->seconds;
  send_values(&client);
  while (client.now < until) {
    int frames = link_receive(link, hear, &client);
    client.now = now_seconds();
    client.measures = client.now >= from;
    deliver(&client);
    if (frames > 0) send_values(&client);
  }
  client.measures = false;
  drain(&client);
  report(&client, settings->seconds);
}
