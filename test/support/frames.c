/*
 * Sends or prints numbered raw Ethernet frames, for tests of the laboratory itself.
 *
 * frames send IF DESTINATION ETHERTYPE FIRST COUNT   payload: the number, big-endian, then zeros
 * frames receive IF ETHERTYPE COUNT SECONDS          prints "ready", then "NUMBER intact|damaged" as they come
 */
#define _GNU_SOURCE
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
#include <time.h>
#include <unistd.h>

enum { PAYLOAD = 64, BURST = 32 };

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int open_socket(const char *interface, uint16_t ethertype, struct sockaddr_ll *address) {
  *address = (struct sockaddr_ll){.sll_family = AF_PACKET,
                                  .sll_protocol = htons(ethertype),
                                  .sll_ifindex = (int)if_nametoindex(interface)};
  if (address->sll_ifindex == 0) fail(interface);
  int fd = socket(AF_PACKET, SOCK_RAW, 0);
  if (fd < 0) fail("socket");
  int size = 8 << 20;
  (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
  if (bind(fd, (struct sockaddr *)address, sizeof *address) < 0) fail("bind");
  return fd;
}

static int send_frames(char **args) {
  struct sockaddr_ll address;
  int fd = open_socket(args[0], 0, &address);
  struct ifreq request = {0};
  strncpy(request.ifr_name, args[0], IFNAMSIZ - 1);
  if (ioctl(fd, SIOCGIFHWADDR, &request) < 0) fail("address of the interface");
  unsigned char frame[ETH_HLEN + PAYLOAD] = {0};
  if (sscanf(args[1], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &frame[0], &frame[1], &frame[2], &frame[3], &frame[4],
             &frame[5]) != 6)
    return 2;
  memcpy(frame + ETH_ALEN, request.ifr_hwaddr.sa_data, ETH_ALEN);
  uint16_t ethertype = htons((uint16_t)strtoul(args[2], NULL, 16));
  memcpy(frame + 2 * ETH_ALEN, &ethertype, sizeof ethertype);
  uint32_t first = (uint32_t)strtoul(args[3], NULL, 10);
  uint32_t count = (uint32_t)strtoul(args[4], NULL, 10);
  for (uint32_t i = 0; i < count; i++) {
    uint32_t number = htonl(first + i);
    memcpy(frame + ETH_HLEN, &number, sizeof number);
    if (send(fd, frame, sizeof frame, 0) < 0) fail("send");
    /* The kernel's queue between two namespaces holds 1000 frames for the whole machine. */
    if (i % BURST == BURST - 1) nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
  }
  return 0;
}

static int receive_frames(char **args) {
  struct sockaddr_ll address;
  int fd = open_socket(args[0], (uint16_t)strtoul(args[1], NULL, 16), &address);
  unsigned long count = strtoul(args[2], NULL, 10);
  time_t deadline = time(NULL) + (time_t)strtoul(args[3], NULL, 10);
  puts("ready");
  fflush(stdout);
  while (count > 0 && time(NULL) < deadline) {
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    if (poll(&polled, 1, 100) <= 0) continue;
    unsigned char frame[2048];
    struct sockaddr_ll source;
    socklen_t length = sizeof source;
    ssize_t got = recvfrom(fd, frame, sizeof frame, 0, (struct sockaddr *)&source, &length);
    if (got < 0) fail("receive");
    if (source.sll_pkttype == PACKET_OUTGOING || got < ETH_HLEN + PAYLOAD) continue;
    uint32_t number;
    memcpy(&number, frame + ETH_HLEN, sizeof number);
    int damage = 0;
    for (int i = ETH_HLEN + (int)sizeof number; i < ETH_HLEN + PAYLOAD; i++) damage |= frame[i];
    printf("%u %s\n", ntohl(number), damage ? "damaged" : "intact");
    fflush(stdout);
    count--;
  }
  return 0;
}

int main(int argc, char **argv) {
  if (argc == 7 && strcmp(argv[1], "send") == 0) return send_frames(argv + 2);
  if (argc == 6 && strcmp(argv[1], "receive") == 0) return receive_frames(argv + 2);
  fputs("usage: frames send|receive ...\n", stderr);
  return 2;
}
