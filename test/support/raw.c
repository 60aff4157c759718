/*
 * raw INTERFACE: a host that speaks whatever a test wants. Sends each line "DESTINATION ETHERTYPE HEX" of standard
 * input as one frame, and prints "SOURCE DESTINATION ETHERTYPE HEX" for each frame that arrives at the interface.
 * Says "ready" first; ends at the end of its input.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FRAME = 65536, LINE = 4 * FRAME };

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int open_interface(const char *name, unsigned char *mac) {
  int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
  if (fd < 0) fail("socket");
  struct ifreq request = {0};
  snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
  if (ioctl(fd, SIOCGIFHWADDR, &request) < 0) fail("address");
  memcpy(mac, request.ifr_hwaddr.sa_data, ETH_ALEN);
  /* Bursts come faster than they are printed. */
  int bytes = 16 << 20;
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) < 0 &&
      setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes) < 0)
    fail("receive buffer");
  struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
  address.sll_ifindex = (int)if_nametoindex(name);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) fail("bind");
  return fd;
}

/* Bytes of a line of hex digits; colons are passed over. */
static size_t bytes_of(const char *text, unsigned char *into, size_t limit) {
  size_t count = 0;
  while (count < limit) {
    while (*text == ':') text++;
    unsigned byte;
    if (sscanf(text, "%2x", &byte) != 1) break;
    into[count++] = (unsigned char)byte;
    text += 2;
  }
  return count;
}

static void send_line(int fd, char *line, const unsigned char *mac) {
  static unsigned char frame[FRAME];
  char *destination = strtok(line, " \n");
  char *type = strtok(NULL, " \n");
  char *payload = strtok(NULL, " \n");
  if (destination == NULL || type == NULL) return;
  bytes_of(destination, frame, ETH_ALEN);
  memcpy(frame + ETH_ALEN, mac, ETH_ALEN);
  bytes_of(type, frame + 2 * ETH_ALEN, 2);
  size_t length = payload == NULL ? 0 : bytes_of(payload, frame + ETH_HLEN, sizeof frame - ETH_HLEN);
  if (send(fd, frame, ETH_HLEN + length, 0) < 0) fail("send");
}

static void print_frame(int fd) {
  static unsigned char frame[FRAME];
  struct sockaddr_ll source;
  socklen_t size = sizeof source;
  ssize_t got = recvfrom(fd, frame, sizeof frame, 0, (struct sockaddr *)&source, &size);
  if (got < 0) fail("receive");
  if (source.sll_pkttype == PACKET_OUTGOING || got < ETH_HLEN) return;
  for (int part = 1; part >= 0; part--) {
    for (int i = 0; i < ETH_ALEN; i++) printf("%s%02x", i > 0 ? ":" : "", frame[part * ETH_ALEN + i]);
    putchar(' ');
  }
  printf("%02x%02x ", frame[2 * ETH_ALEN], frame[2 * ETH_ALEN + 1]);
  for (ssize_t i = ETH_HLEN; i < got; i++) printf("%02x", frame[i]);
  putchar('\n');
  fflush(stdout);
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fputs("usage: raw INTERFACE\n", stderr);
    return 2;
  }
  unsigned char mac[ETH_ALEN];
  int fd = open_interface(argv[1], mac);
  puts("ready");
  fflush(stdout);
  static char line[LINE];
  setvbuf(stdin, NULL, _IONBF, 0);
  for (;;) {
    struct pollfd polled[] = {{.fd = fd, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
    if (poll(polled, 2, -1) < 0) fail("poll");
    if ((polled[0].revents & POLLIN) != 0) print_frame(fd);
    if ((polled[1].revents & (POLLIN | POLLHUP)) == 0) continue;
    if (fgets(line, sizeof line, stdin) == NULL) return 0;
    send_line(fd, line, mac);
  }
}
