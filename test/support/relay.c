/*
 * A userspace hub with faults: one raw socket per port, every frame copied to the other ports (or to the one behind
 * which its destination was heard), each copy lost, doubled, damaged, held back or delayed by chance.
 *
 * usage: relay [--seed N] INTERFACE...
 * Commands come as lines on stdin, each answered by one line on stdout ("ok", "error ..." or JSON):
 *   loss P | dup P | corrupt P            percent, per copy
 *   reorder P [K [MS]]                    hold a copy until 1..K later ones to its port went out, or MS passed
 *   delay MIN MAX                         milliseconds; keeps the order of each port
 *   partition A B | oneway A B | heal     ports by position; oneway cuts A to B only
 *   bundles on | off                      off: what is several frames in one goes nowhere
 *   seed N | clear | stats
 * Ends with exit 0 on SIGTERM, SIGINT or the end of stdin. Never repeats what it sent itself.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_PORTS = 64, MAX_MACS = 1024, MAX_HELD = 65536, BUDGET = 64, LARGEST = 70000 };

/* Checksum and segmentation hints travel before each frame, so that offloaded packets survive the detour. */
enum { HINT = (int)sizeof(struct virtio_net_hdr) };

struct held {
  struct held *next;
  uint64_t due_us;
  unsigned countdown;
  size_t length;
  unsigned char bytes[];
};

struct port {
  const char *name;
  int fd;
  struct held *delayed, *delayed_last; /* in order of due_us */
  struct held *reordered;
  uint64_t rx, tx, kernel_dropped;
};

struct mac {
  unsigned char bytes[ETH_ALEN];
  int port;
};

static struct port ports[MAX_PORTS];
static int port_count;
static struct mac macs[MAX_MACS];
static int mac_count;
static bool cut[MAX_PORTS][MAX_PORTS];

static double loss, doubling, corrupt, reorder;
static unsigned reorder_depth = 3, reorder_ms = 10;
static double delay_min_ms, delay_max_ms;
static bool no_bundles;
static unsigned held_count;
static uint64_t lost, duplicated, corrupted, reordered, delayed, partitioned, tx_failed, overflowed, bundles;

static uint64_t seed = 1, random_state = 1;
static volatile sig_atomic_t stopping;

static void fail(const char *format, ...) {
  va_list args;
  va_start(args, format);
  fputs("relay: ", stderr);
  vfprintf(stderr, format, args);
  fputc('\n', stderr);
  va_end(args);
  exit(1);
}

static uint64_t random64(void) { /* splitmix64 */
  uint64_t z = (random_state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

static double random_unit(void) { return (double)(random64() >> 11) * 0x1p-53; }

static bool chance(double percent) { return percent > 0 && random_unit() * 100 < percent; }

static uint64_t now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static void transmit(struct port *to, const unsigned char *bytes, size_t length) {
  if (send(to->fd, bytes, length, 0) < 0)
    tx_failed++;
  else
    to->tx++;
}

/* Sends a copy, then whatever waited for just this many copies to overtake it. */
static void emit(struct port *to, const unsigned char *bytes, size_t length) {
  transmit(to, bytes, length);
  struct held **link = &to->reordered;
  while (*link != NULL) {
    struct held *frame = *link;
    if (--frame->countdown > 0) {
      link = &frame->next;
      continue;
    }
    *link = frame->next;
    transmit(to, frame->bytes, frame->length);
    free(frame);
    held_count--;
  }
}

static struct held *hold(const unsigned char *bytes, size_t length, uint64_t due_us) {
  if (held_count >= MAX_HELD) {
    overflowed++;
    return NULL;
  }
  struct held *frame = malloc(sizeof *frame + length);
  if (frame == NULL) fail("out of memory");
  *frame = (struct held){.due_us = due_us, .length = length};
  memcpy(frame->bytes, bytes, length);
  held_count++;
  return frame;
}

static void hold_for_later_ones(struct port *to, const unsigned char *bytes, size_t length, uint64_t now) {
  struct held *frame = hold(bytes, length, now + reorder_ms * 1000u);
  if (frame == NULL) return;
  frame->countdown = 1 + (unsigned)(random_unit() * reorder_depth);
  frame->next = to->reordered;
  to->reordered = frame;
  reordered++;
}

static void hold_for_a_time(struct port *to, const unsigned char *bytes, size_t length, uint64_t now) {
  double wait_ms = delay_min_ms + random_unit() * (delay_max_ms - delay_min_ms);
  uint64_t due = now + (uint64_t)(wait_ms * 1000);
  if (to->delayed_last != NULL && due < to->delayed_last->due_us) due = to->delayed_last->due_us;
  struct held *frame = hold(bytes, length, due);
  if (frame == NULL) return;
  if (to->delayed_last == NULL)
    to->delayed = frame;
  else
    to->delayed_last->next = frame;
  to->delayed_last = frame;
  delayed++;
}

static void copy_to(int from, int index, const unsigned char *bytes, size_t length, uint64_t now) {
  static unsigned char damaged[LARGEST];
  struct port *to = &ports[index];
  if (cut[from][index]) {
    partitioned++;
    return;
  }
  if (chance(loss)) {
    lost++;
    return;
  }
  if (chance(corrupt) && length > (size_t)HINT + ETH_HLEN) {
    memcpy(damaged, bytes, length);
    size_t body = length - HINT - ETH_HLEN;
    size_t at = HINT + ETH_HLEN + (size_t)(random_unit() * (double)body);
    damaged[at] ^= (unsigned char)(1u << (random64() & 7));
    bytes = damaged;
    corrupted++;
  }
  int copies = 1;
  if (chance(doubling)) {
    copies = 2;
    duplicated++;
  }
  while (copies-- > 0) {
    if (chance(reorder))
      hold_for_later_ones(to, bytes, length, now);
    else if (delay_max_ms > 0 || to->delayed != NULL)
      hold_for_a_time(to, bytes, length, now);
    else
      emit(to, bytes, length);
  }
}

static int find_mac(const unsigned char *address) {
  for (int i = 0; i < mac_count; i++)
    if (memcmp(macs[i].bytes, address, ETH_ALEN) == 0) return i;
  return -1;
}

static void learn(const unsigned char *address, int port) {
  if (address[0] & 1) return;
  int i = find_mac(address);
  if (i < 0) {
    if (mac_count == MAX_MACS) return;
    i = mac_count++;
    memcpy(macs[i].bytes, address, ETH_ALEN);
  }
  macs[i].port = port;
}

static void receive_from(int from) {
  static unsigned char bytes[LARGEST];
  for (int n = 0; n < BUDGET; n++) {
    struct sockaddr_ll source;
    socklen_t source_length = sizeof source;
    ssize_t length =
        recvfrom(ports[from].fd, bytes, sizeof bytes, MSG_DONTWAIT, (struct sockaddr *)&source, &source_length);
    if (length < 0) {
      if (errno == EAGAIN || errno == EINTR || errno == ENETDOWN) return;
      fail("receive on %s: %s", ports[from].name, strerror(errno));
    }
    if (source.sll_pkttype == PACKET_OUTGOING || length < HINT + ETH_HLEN) continue;
    ports[from].rx++;
    struct virtio_net_hdr hint;
    memcpy(&hint, bytes, sizeof hint);
    if (hint.gso_type != VIRTIO_NET_HDR_GSO_NONE) {
      if (no_bundles) {
        partitioned++;
        continue;
      }
      bundles++;
    }
    uint64_t now = now_us();
    const unsigned char *destination = bytes + HINT;
    learn(destination + ETH_ALEN, from);
    int known = (destination[0] & 1) ? -1 : find_mac(destination);
    for (int to = 0; to < port_count; to++)
      if (to != from && (known < 0 || macs[known].port == to)) copy_to(from, to, bytes, (size_t)length, now);
  }
}

/* Sends what is due; returns when the next copy is, or UINT64_MAX. */
static uint64_t send_due(uint64_t now) {
  uint64_t next = UINT64_MAX;
  for (int i = 0; i < port_count; i++) {
    struct port *to = &ports[i];
    while (to->delayed != NULL && to->delayed->due_us <= now) {
      struct held *frame = to->delayed;
      to->delayed = frame->next;
      if (to->delayed == NULL) to->delayed_last = NULL;
      emit(to, frame->bytes, frame->length);
      free(frame);
      held_count--;
    }
    if (to->delayed != NULL && to->delayed->due_us < next) next = to->delayed->due_us;
    struct held **link = &to->reordered;
    while (*link != NULL) {
      struct held *frame = *link;
      if (frame->due_us > now) {
        if (frame->due_us < next) next = frame->due_us;
        link = &frame->next;
        continue;
      }
      *link = frame->next;
      transmit(to, frame->bytes, frame->length);
      free(frame);
      held_count--;
    }
  }
  return next;
}

static void print_stats(void) {
  uint64_t rx = 0, tx = 0, dropped = 0;
  printf("{\"seed\":%" PRIu64 ",\"ports\":[", seed);
  for (int i = 0; i < port_count; i++) {
    struct tpacket_stats counts;
    socklen_t length = sizeof counts;
    if (getsockopt(ports[i].fd, SOL_PACKET, PACKET_STATISTICS, &counts, &length) == 0)
      ports[i].kernel_dropped += counts.tp_drops; /* reading resets it */
    printf("%s{\"name\":\"%s\",\"rx\":%" PRIu64 ",\"tx\":%" PRIu64 "}", i ? "," : "", ports[i].name, ports[i].rx,
           ports[i].tx);
    rx += ports[i].rx;
    tx += ports[i].tx;
    dropped += ports[i].kernel_dropped;
  }
  printf("],\"rx\":%" PRIu64 ",\"tx\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"duplicated\":%" PRIu64
         ",\"corrupted\":%" PRIu64 ",\"reordered\":%" PRIu64 ",\"delayed\":%" PRIu64 ",\"partitioned\":%" PRIu64
         ",\"txFailed\":%" PRIu64 ",\"overflowed\":%" PRIu64 ",\"kernelDropped\":%" PRIu64 ",\"held\":%u,\"bundles\":%" PRIu64 "}\n",
         rx, tx, lost, duplicated, corrupted, reordered, delayed, partitioned, tx_failed, overflowed, dropped,
         held_count, bundles);
}

static bool is_percent(double p) { return p >= 0 && p <= 100; }

static bool are_ports(int a, int b) { return a >= 0 && a < port_count && b >= 0 && b < port_count && a != b; }

static bool obey(const char *line) {
  double a, b;
  int i, j;
  unsigned depth, ms;
  uint64_t number;
  char end;
  if (sscanf(line, "loss %lf %c", &a, &end) == 1 && is_percent(a)) return loss = a, true;
  if (sscanf(line, "dup %lf %c", &a, &end) == 1 && is_percent(a)) return doubling = a, true;
  if (sscanf(line, "corrupt %lf %c", &a, &end) == 1 && is_percent(a)) return corrupt = a, true;
  int given = sscanf(line, "reorder %lf %u %u %c", &a, &depth, &ms, &end);
  if (given >= 1 && given <= 3 && is_percent(a) && (given < 2 || depth > 0)) {
    reorder = a;
    if (given >= 2) reorder_depth = depth;
    if (given == 3) reorder_ms = ms;
    return true;
  }
  if (sscanf(line, "delay %lf %lf %c", &a, &b, &end) == 2 && a >= 0 && b >= a) {
    delay_min_ms = a;
    delay_max_ms = b;
    return true;
  }
  if (sscanf(line, "partition %d %d %c", &i, &j, &end) == 2 && are_ports(i, j))
    return cut[i][j] = cut[j][i] = true, true;
  if (sscanf(line, "oneway %d %d %c", &i, &j, &end) == 2 && are_ports(i, j)) return cut[i][j] = true, true;
  if (sscanf(line, "seed %" SCNu64 " %c", &number, &end) == 1) return seed = random_state = number, true;
  if (strcmp(line, "bundles on") == 0) return no_bundles = false, true;
  if (strcmp(line, "bundles off") == 0) return no_bundles = true, true;
  if (strcmp(line, "heal") == 0) return memset(cut, 0, sizeof cut), true;
  if (strcmp(line, "clear") == 0) {
    memset(cut, 0, sizeof cut);
    no_bundles = false;
    loss = doubling = corrupt = reorder = delay_min_ms = delay_max_ms = 0;
    return true;
  }
  return false;
}

/* Reads what is there of stdin; false at its end. */
static bool read_commands(void) {
  static char buffer[4096];
  static size_t used;
  ssize_t got = read(STDIN_FILENO, buffer + used, sizeof buffer - 1 - used);
  if (got < 0) return errno == EINTR || errno == EAGAIN;
  if (got == 0) return false;
  used += (size_t)got;
  buffer[used] = 0;
  char *start = buffer;
  for (char *end; (end = strchr(start, '\n')) != NULL; start = end + 1) {
    *end = 0;
    if (strcmp(start, "stats") == 0)
      print_stats();
    else if (obey(start))
      puts("ok");
    else
      printf("error not understood: %s\n", start);
  }
  used -= (size_t)(start - buffer);
  memmove(buffer, start, used);
  if (used == sizeof buffer - 1) fail("command line too long");
  fflush(stdout);
  return true;
}

static void open_port(struct port *port, const char *name) {
  port->name = name;
  unsigned index = if_nametoindex(name);
  if (index == 0) fail("no interface %s", name);
  port->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (port->fd < 0) fail("socket: %s", strerror(errno));
  int on = 1, size = 8 << 20;
  if (setsockopt(port->fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on) < 0)
    fail("PACKET_VNET_HDR on %s: %s", name, strerror(errno));
  /* Older kernels have no such option; receive_from skips outgoing frames anyway. */
  (void)setsockopt(port->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on);
  if (setsockopt(port->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0)
    (void)setsockopt(port->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  struct packet_mreq promiscuous = {.mr_ifindex = (int)index, .mr_type = PACKET_MR_PROMISC};
  if (setsockopt(port->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof promiscuous) < 0)
    fail("promiscuous mode on %s: %s", name, strerror(errno));
  struct sockaddr_ll address = {
      .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)index};
  if (bind(port->fd, (struct sockaddr *)&address, sizeof address) < 0) fail("bind to %s: %s", name, strerror(errno));
}

static void on_stop(int signal) {
  (void)signal;
  stopping = 1;
}

int main(int argc, char **argv) {
  int first = 1;
  if (argc > 2 && strcmp(argv[1], "--seed") == 0) {
    seed = random_state = strtoull(argv[2], NULL, 10);
    first = 3;
  }
  if (argc - first < 1 || argc - first > MAX_PORTS) fail("usage: relay [--seed N] INTERFACE... (1 to %d)", MAX_PORTS);
  /* Blocked outside ppoll, so that a signal cannot slip in between the test of `stopping` and the wait. */
  struct sigaction action = {.sa_handler = on_stop};
  sigset_t blocked, before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  sigaddset(&blocked, SIGINT);
  sigprocmask(SIG_BLOCK, &blocked, &before);
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  for (int i = first; i < argc; i++) open_port(&ports[port_count++], argv[i]);
  puts("ready");
  fflush(stdout);
  while (!stopping) {
    uint64_t now = now_us();
    uint64_t next = send_due(now);
    struct timespec wait = {0};
    if (next != UINT64_MAX) {
      uint64_t us = next > now ? next - now : 0;
      wait = (struct timespec){.tv_sec = (time_t)(us / 1000000u), .tv_nsec = (long)(us % 1000000u) * 1000};
    }
    struct pollfd polled[MAX_PORTS + 1] = {{.fd = STDIN_FILENO, .events = POLLIN}};
    for (int i = 0; i < port_count; i++) polled[i + 1] = (struct pollfd){.fd = ports[i].fd, .events = POLLIN};
    int ready = ppoll(polled, (nfds_t)port_count + 1, next == UINT64_MAX ? NULL : &wait, &before);
    if (ready < 0 && errno != EINTR) fail("ppoll: %s", strerror(errno));
    if (ready <= 0) continue;
    if (polled[0].revents != 0 && !read_commands()) break;
    for (int i = 0; i < port_count; i++)
      if (polled[i + 1].revents != 0) receive_from(i);
  }
  return 0;
}
