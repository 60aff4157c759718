/*
 * The floor: what phase 2 of Multi-Paxos costs on this machine when nothing else is done. One process a role, raw
 * Ethernet, plain C: a client with its learner, a proposer, acceptors. No phase 1, no recovery, no checks beyond those that
 * keep memory sound; a lost frame stays lost and is counted. For comparison only.
 */
#ifndef FLOOR_H
#define FLOOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ETHERTYPE 0x88B6 /* for local experiments */
#define ETHERNET_HEADER 14
#define FRAME_BYTES 1514
#define BATCH 64
#define MAX_ACCEPTORS 16
#define INSTANCES 65536 /* remembered by acceptor and learner */
#define LONG_SECONDS 1.0 /* an acceptor or a proposer waits so long at a time */

enum message { SUBMIT = 1, ACCEPT, ACCEPTED };

/* After the Ethernet header; values follow, `size` bytes each. Integers are in the machine's order: all hosts are one. */
struct message_header {
  uint8_t type;
  uint8_t acceptor;
  uint16_t values; /* of ACCEPTED: instances from `iid` on */
  uint32_t size;
  uint64_t iid;
};

struct link;

/* Called with a frame's message; it may send. */
typedef void handler(void *self, const struct message_header *header, const uint8_t *values);

struct link *link_open(const char *interface, bool spins);
/* Waits for a frame no longer than that, hands everything that came to `handle`; returns the frames. */
int link_receive(struct link *link, double wait_seconds, handler *handle, void *self);
/* A frame to fill; the header is zeroed. Sent with the next flush, or when a batch is full. */
struct message_header *link_frame(struct link *link, const uint8_t to[6]);
void link_frame_length(struct link *link, size_t bytes);
void link_flush(struct link *link);

struct settings {
  const char *role;
  const char *interface;
  uint32_t id;
  uint32_t acceptors;
  uint32_t window;
  uint32_t size;
  double seconds;
  double rate; /* values per second of an open loop; 0: a closed one */
  bool packs;
  bool spins;
  bool votes; /* the proposer is an acceptor, too */
  bool learns; /* so are all of them learners: replicas */
  uint8_t proposer[6];
  uint8_t client[6];
};

void run_acceptor(const struct settings *settings, struct link *link);
void run_proposer(const struct settings *settings, struct link *link);
void run_client(const struct settings *settings, struct link *link);

extern const uint8_t EVERYONE[6];
double now_seconds(void);
/* Zeroed, and there: the first to touch a page does not wait for it while it is measured. */
void *memory(size_t count, size_t bytes);
/* Whoever started it knows by this that frames are heard, and answered at once, from now on. */
void say_ready(void);

#endif
