/* The proposer gives numbers, acceptors keep values and say so; in replicas all of them learn, too. */
#include <string.h>

#include "floor.h"

struct votes {
  uint64_t iid;
  uint32_t votes; /* a bit an acceptor */
  uint32_t bytes; /* of its values, once they are here */
};

/* Counts votes and delivers in order, to nobody. */
struct learner {
  struct votes *instances;
  uint64_t next;
  uint64_t delivered_bytes;
};

struct acceptor {
  const struct settings *settings;
  struct link *link;
  uint8_t *kept; /* a frame's worth for each instance */
  uint64_t first; /* what is still to be told: consecutive instances */
  uint16_t count;
  struct learner learner; /* of a replica */
};

struct proposer {
  struct acceptor acceptor;
  uint64_t next;
};

static struct acceptor new_acceptor(const struct settings *settings, struct link *link) {
  struct acceptor acceptor = {.settings = settings, .link = link, .kept = memory(INSTANCES, FRAME_BYTES)};
  if (settings->learns) acceptor.learner = (struct learner){.instances = memory(INSTANCES, sizeof(struct votes)), .next = 1};
  return acceptor;
}

static struct votes *votes_of(struct learner *learner, uint64_t iid) {
  struct votes *instance = &learner->instances[iid % INSTANCES];
  if (instance->iid != iid) *instance = (struct votes){.iid = iid};
  return instance;
}

static void vote(struct learner *learner, uint64_t iid, uint8_t acceptor) {
  if (iid >= learner->next) votes_of(learner, iid)->votes |= 1u << acceptor;
}

static void learn_accepted(struct learner *learner, const struct message_header *header) {
  if (header->acceptor >= MAX_ACCEPTORS) return;
  for (unsigned i = 0; i < header->values; i++) vote(learner, header->iid + i, header->acceptor);
}

static void deliver(struct learner *learner, uint32_t acceptors) {
  for (;; learner->next++) {
    const struct votes *instance = &learner->instances[learner->next % INSTANCES];
    if (instance->iid != learner->next || instance->bytes == 0) return;
    if ((uint32_t)__builtin_popcount(instance->votes) <= acceptors / 2) return;
    learner->delivered_bytes += instance->bytes;
  }
}

static void tell(struct acceptor *acceptor) {
  if (acceptor->count == 0) return;
  const struct settings *settings = acceptor->settings;
  struct message_header *answer = link_frame(acceptor->link, settings->learns ? EVERYONE : settings->client);
  answer->type = ACCEPTED;
  answer->acceptor = (uint8_t)settings->id;
  answer->iid = acceptor->first;
  answer->values = acceptor->count;
  link_frame_length(acceptor->link, 0);
  acceptor->count = 0;
}

static void accept_value(struct acceptor *acceptor, const struct message_header *header, const uint8_t *values) {
  size_t bytes = (size_t)header->values * header->size;
  memcpy(acceptor->kept + (header->iid % INSTANCES) * FRAME_BYTES, values, bytes);
  bool follows = acceptor->count > 0 && header->iid == acceptor->first + acceptor->count;
  if (!follows || !acceptor->settings->packs) tell(acceptor);
  if (acceptor->count == 0) acceptor->first = header->iid;
  acceptor->count++;
  if (!acceptor->settings->learns) return;
  votes_of(&acceptor->learner, header->iid)->bytes = (uint32_t)bytes;
  vote(&acceptor->learner, header->iid, (uint8_t)acceptor->settings->id);
}

static void hear_accept(void *self, const struct message_header *header, const uint8_t *values) {
  struct acceptor *acceptor = self;
  if (header->type == ACCEPT) accept_value(acceptor, header, values);
  else if (header->type == ACCEPTED && acceptor->settings->learns) learn_accepted(&acceptor->learner, header);
}

/* What a turn has left to do. */
static void finish(struct acceptor *acceptor) {
  tell(acceptor);
  if (acceptor->settings->learns) deliver(&acceptor->learner, acceptor->settings->acceptors);
  link_flush(acceptor->link);
}

void run_acceptor(const struct settings *settings, struct link *link) {
  struct acceptor acceptor = new_acceptor(settings, link);
  say_ready();
  for (;;) {
    (void)link_receive(link, LONG_SECONDS, hear_accept, &acceptor);
    finish(&acceptor);
  }
}

static void hear_submit(void *self, const struct message_header *header, const uint8_t *values) {
  struct proposer *proposer = self;
  if (header->type == ACCEPTED) hear_accept(&proposer->acceptor, header, values);
  if (header->type != SUBMIT) return;
  size_t bytes = (size_t)header->values * header->size;
  struct link *link = proposer->acceptor.link;
  struct message_header *proposal = link_frame(link, EVERYONE);
  proposal->type = ACCEPT;
  proposal->values = header->values;
  proposal->size = header->size;
  proposal->iid = proposer->next++;
  memcpy(proposal + 1, values, bytes);
  link_frame_length(link, bytes);
  if (proposer->acceptor.settings->votes) accept_value(&proposer->acceptor, proposal, values);
}

void run_proposer(const struct settings *settings, struct link *link) {
  struct proposer proposer = {.acceptor = new_acceptor(settings, link), .next = 1};
  say_ready();
  for (;;) {
    (void)link_receive(link, LONG_SECONDS, hear_submit, &proposer);
    finish(&proposer.acceptor);
  }
}
