/* The proposer gives numbers, acceptors keep values and say so. */
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "floor.h"

struct acceptor {
  const struct settings *settings;
  struct link *link;
  uint8_t *kept; /* a frame's worth for each instance */
  uint64_t first; /* what is still to be told: consecutive instances */
  uint16_t count;
};

struct proposer {
  struct acceptor acceptor;
  uint64_t next;
};

static struct acceptor new_acceptor(const struct settings *settings, struct link *link) {
  struct acceptor acceptor = {.settings = settings, .link = link, .kept = calloc(INSTANCES, FRAME_BYTES)};
  if (acceptor.kept == NULL) err(1, "memory");
  return acceptor;
}

static void tell(struct acceptor *acceptor) {
  if (acceptor->count == 0) return;
  struct message_header *answer = link_frame(acceptor->link, acceptor->settings->client);
  answer->type = ACCEPTED;
  answer->acceptor = (uint8_t)acceptor->settings->id;
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
}

static void hear_accept(void *self, const struct message_header *header, const uint8_t *values) {
  if (header->type == ACCEPT) accept_value(self, header, values);
}

void run_acceptor(const struct settings *settings, struct link *link) {
  struct acceptor acceptor = new_acceptor(settings, link);
  for (;;) {
    (void)link_receive(link, LONG_SECONDS, hear_accept, &acceptor);
    tell(&acceptor);
    link_flush(link);
  }
}

static void hear_submit(void *self, const struct message_header *header, const uint8_t *values) {
  struct proposer *proposer = self;
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
  for (;;) {
    (void)link_receive(link, LONG_SECONDS, hear_submit, &proposer);
    if (settings->votes) tell(&proposer.acceptor);
    link_flush(link);
  }
}
