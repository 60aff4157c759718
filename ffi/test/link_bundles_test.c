/* Raw Ethernet whose frames pass the kernel in bundles: what arrives is the same frames, in order, and what leaves is UDP to whoever
 * knows nothing of them. */
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "link_support.h"

#define MAIN 0x88B5u
#define SLOTS 256u
#define MOST 1472u /* of a frame in a bundle, where one alone has 1500 */

static uint32_t lo;
/* How links with bundles receive: 0 or KPX_FLAG_RING. */
static uint32_t receiving;

static struct test_link open_with(uint32_t flags, uint32_t most) {
  uint32_t options[KPX_OPTION_WORDS];
  default_options(options, KPX_ETHERNET);
  options[KPX_OPTION_IFINDEX] = lo;
  options[KPX_OPTION_FLAGS] = flags | ((flags & KPX_FLAG_OFFLOAD) != 0 ? receiving : 0);
  options[KPX_OPTION_MAX_PAYLOAD] = most;
  options[KPX_OPTION_RX_SLOTS] = SLOTS;
  options[KPX_OPTION_TX_SLOTS] = SLOTS;
  options[KPX_OPTION_RECEIVE_BUFFER] = 1 << 22;
  return open_link(options, KPX_OPTION_WORDS);
}

/* Frame `i` has its number in every byte. */
static void put_marked(struct test_link *link, uint32_t i, uint32_t to, uint32_t mark, uint32_t length) {
  static uint8_t bytes[9000];
  const uint32_t words[KPX_ADDRESS_WORDS] = {to, 0x0605u, mark};
  memset(bytes, (int)(i & 255), length);
  put(link, i, words, KPX_PORT_WIRE, bytes, length);
  link->tx[i * KPX_DESCRIPTOR_WORDS + KPX_PROTOCOL] = MAIN;
}

static void expect(const struct test_link *link, uint32_t slot, uint32_t i, uint32_t length) {
  const uint32_t *descriptor = link->rx + slot * KPX_DESCRIPTOR_WORDS;
  EQUAL(descriptor[KPX_LENGTH], length);
  EQUAL(descriptor[KPX_OFFSET] % 4, 0);
  EQUAL(descriptor[KPX_PROTOCOL], MAIN);
  EQUAL(descriptor[KPX_PORTS], KPX_PORT_WIRE);
  for (uint32_t word = 0; word < KPX_ADDRESS_WORDS; word++) EQUAL(descriptor[KPX_ADDRESS + word], 0);
  const uint8_t *bytes = payload_of(link, descriptor);
  for (uint32_t b = 0; b < length; b++) EQUAL(bytes[b], i & 255);
}

/* What a link that knows no bundles hears: how many packets, and how many of them are bundles. */
static uint32_t packets(struct test_link *plain, uint32_t *bundles) {
  uint32_t count = 0;
  *bundles = 0;
  for (int received; (received = kpx_link_step(plain->handle, 0, SLOTS, 0, 1000)) > 0;) {
    for (int i = 0; i < received; i++) *bundles += plain->rx[i * KPX_DESCRIPTOR_WORDS + KPX_PROTOCOL] == 0x0800;
    count += (uint32_t)received;
  }
  return count;
}

/* Sends frames of these lengths and receives them, `most` a step. */
static void exchange(const uint32_t *lengths, uint32_t count, uint32_t most, uint32_t want_packets, uint32_t want_bundles) {
  struct test_link link = open_with(KPX_FLAG_OFFLOAD, 1500);
  struct test_link plain = open_with(0, 70000);
  uint32_t bytes = 0;
  for (uint32_t i = 0; i < count; i++) {
    put_marked(&link, i, 1, 7, lengths[i]);
    bytes += lengths[i];
  }
  uint32_t got = 0;
  for (uint32_t sent = count; got < count; sent = 0) {
    int received = kpx_link_step(link.handle, sent, most, 0, 1000000);
    CHECK(received > 0 && (uint32_t)received <= most);
    for (uint32_t i = 0; i < (uint32_t)received; i++) expect(&link, i, got + i, lengths[got + i]);
    got += (uint32_t)received;
  }
  EQUAL(kpx_link_step(link.handle, 0, most, 0, 0), 0);
  expect_exchanged(link.handle, link.handle, count, bytes);
  uint32_t bundles;
  EQUAL(packets(&plain, &bundles), want_packets);
  EQUAL(bundles, want_bundles);
  kpx_link_close(plain.handle);
  kpx_link_close(link.handle);
}

static void all_kinds_of_lengths_arrive(void) {
  const uint32_t most[] = {1, 3, SLOTS};
  uint32_t many[SLOTS];
  for (uint32_t i = 0; i < 3; i++) {
    exchange((const uint32_t[]){100, 100, 100, 60, 100, 100}, 6, most[i], 2, 2);
    /* No multiples of 4, and growing ones. */
    exchange((const uint32_t[]){101, 101, 101, 99, 102, 103, 103, 47}, 8, most[i], 3, 2);
    exchange((const uint32_t[]){200}, 1, most[i], 1, 0);
    /* Frames that fill a packet do not fit a bundle. */
    exchange((const uint32_t[]){1500, 1500, MOST, MOST, MOST + 1, MOST + 1}, 6, most[i], 5, 1);
    /* More than one packet carries, in bytes and in number. */
    for (uint32_t j = 0; j < SLOTS; j++) many[j] = MOST;
    exchange(many, 100, most[i], 3, 3);
    for (uint32_t j = 0; j < SLOTS; j++) many[j] = 64;
    exchange(many, 128, most[i], 2, 2);
  }
}

static void what_differs_stays_apart(void) {
  struct test_link link = open_with(KPX_FLAG_OFFLOAD, 1500);
  struct test_link plain = open_with(0, 70000);
  /* Twice each: no mark, two marks to two destinations; of one destination and mark in order. */
  for (uint32_t i = 0; i < 12; i++) put_marked(&link, i, 1 + i % 2, i % 6 / 2, 100);
  EQUAL(kpx_link_step(link.handle, 12, SLOTS, 0, 0), 12);
  uint32_t bundles;
  EQUAL(packets(&plain, &bundles), 8);
  EQUAL(bundles, 4);
  uint32_t seen = 0;
  for (uint32_t i = 0; i < 12; i++) seen |= 1u << payload_of(&link, link.rx + i * KPX_DESCRIPTOR_WORDS)[0];
  EQUAL(seen, 0xFFF);
  /* EtherTypes do, too, and each has its own. */
  for (uint32_t i = 0; i < 4; i++) {
    put_marked(&link, i, 1, 1, 100);
    link.tx[i * KPX_DESCRIPTOR_WORDS + KPX_PROTOCOL] = MAIN + i % 2;
  }
  EQUAL(kpx_link_step(link.handle, 4, SLOTS, 0, 0), 4);
  for (uint32_t i = 0; i < 4; i++) EQUAL(link.rx[i * KPX_DESCRIPTOR_WORDS + KPX_PROTOCOL], MAIN + i / 2);
  kpx_link_close(plain.handle);
  kpx_link_close(link.handle);
}

static uint32_t sum_of(const uint8_t *bytes, uint32_t length) {
  uint32_t sum = 0;
  for (uint32_t i = 0; i < length; i += 2) sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
  while (sum >> 16 != 0) sum = (sum & 0xFFFF) + (sum >> 16);
  return sum;
}

static void a_bundle_is_a_datagram_to_nobody(void) {
  struct test_link link = open_with(KPX_FLAG_OFFLOAD, 1500);
  struct test_link plain = open_with(0, 70000);
  put_marked(&link, 0, 0x04030201, 1, 100);
  put_marked(&link, 1, 0x04030201, 1, 80);
  EQUAL(kpx_link_step(link.handle, 2, SLOTS, 0, 0), 2);
  EQUAL(kpx_link_step(plain.handle, 0, SLOTS, 0, 0), 1);
  const uint8_t *ip = payload_of(&plain, plain.rx);
  EQUAL(plain.rx[KPX_LENGTH], 20 + 8 + 180);
  CHECK(memcmp(ip - 14, (const uint8_t[]){1, 2, 3, 4, 5, 6}, 6) == 0);
  EQUAL(sum_of(ip, 20), 0xFFFF);
  EQUAL(ip[0], 0x45);
  EQUAL(ip[2] << 8 | ip[3], 208);
  EQUAL(ip[8], 1);
  CHECK(memcmp(ip + 12, (const uint8_t[]){127, 0, 0, 1, 224, 0, 0, 254}, 8) == 0);
  CHECK(memcmp(ip + 22, (const uint8_t[]){0x88, 0xB5, 0, 188}, 4) == 0);
  EQUAL(ip[28], 0);
  EQUAL(ip[128], 1);
  /* The sum of what the pseudo header has, which the kernel goes on with. */
  const uint8_t pseudo[] = {127, 0, 0, 1, 224, 0, 0, 254, 0, 17, 0, 188};
  EQUAL(ip[26] << 8 | ip[27], sum_of(pseudo, sizeof pseudo));
  kpx_link_close(plain.handle);
  kpx_link_close(link.handle);
}

/* What makes one packet of several may not make one of these. */
static void bundles_of_two_marks_or_links_are_two_flows(void) {
  struct test_link links[] = {open_with(KPX_FLAG_OFFLOAD, 1500), open_with(KPX_FLAG_OFFLOAD, 1500), open_with(KPX_FLAG_OFFLOAD, 1500)};
  struct test_link plain = open_with(0, 70000);
  uint32_t ports[3][2];
  for (uint32_t i = 0; i < 3; i++) {
    for (uint32_t j = 0; j < 4; j++) put_marked(&links[i], j, 1, 5 + j / 2, 100);
    EQUAL(kpx_link_step(links[i].handle, 4, 0, 0, 0), 0);
    EQUAL(kpx_link_step(plain.handle, 0, SLOTS, 0, 0), 2);
    for (uint32_t j = 0; j < 2; j++) {
      const uint8_t *udp = payload_of(&plain, plain.rx + j * KPX_DESCRIPTOR_WORDS) + 20;
      ports[i][j] = (uint32_t)udp[0] << 8 | udp[1];
      CHECK(ports[i][j] >= 0x8000);
    }
    CHECK(ports[i][0] != ports[i][1]);
    kpx_link_close(links[i].handle);
  }
  /* That three links have one flow happens once in a thousand million times. */
  CHECK(ports[0][0] != ports[1][0] || ports[1][0] != ports[2][0]);
  kpx_link_close(plain.handle);
}

static void what_is_to_be_a_bundle_is_one_or_nothing(void) {
  struct test_link link = open_with(KPX_FLAG_OFFLOAD, 1500);
  struct test_link plain = open_with(0, 70000);
  uint32_t bundles;
  put_marked(&link, 0, 1, KPX_MARK_BUNDLE | 1, 100);
  EQUAL(kpx_link_step(link.handle, 1, SLOTS, 0, 0), 1);
  expect(&link, 0, 0, 100);
  EQUAL(packets(&plain, &bundles), 1);
  EQUAL(bundles, 1);
  put_marked(&plain, 0, 1, KPX_MARK_BUNDLE | 1, 100);
  EQUAL(kpx_link_step(plain.handle, 1, 0, 0, 0), 0);
  EQUAL(counter(plain.handle, KPX_TX_DROPPED), 1);
  EQUAL(kpx_link_step(link.handle, 0, SLOTS, 0, 1000), 0);
  kpx_link_close(plain.handle);
  kpx_link_close(link.handle);
}

static void what_is_too_long_for_the_receiver_is_dropped_alone(void) {
  struct test_link link = open_with(KPX_FLAG_OFFLOAD, 1500);
  struct test_link small = open_with(KPX_FLAG_OFFLOAD, 100);
  const uint32_t lengths[] = {101, 101, 40, 100, 100};
  for (uint32_t i = 0; i < 5; i++) put_marked(&link, i, 1, 1, lengths[i]);
  kpx_link_step(link.handle, 5, 0, 0, 0);
  EQUAL(kpx_link_step(small.handle, 0, SLOTS, 0, 1000), 3);
  expect(&small, 0, 2, 40);
  expect(&small, 1, 3, 100);
  expect(&small, 2, 4, 100);
  EQUAL(counter(small.handle, KPX_RX_TRUNCATED), 2);
  kpx_link_close(small.handle);
  kpx_link_close(link.handle);
}

/* Also where a ring has a slot to say that something came. */
static void bundles_that_find_no_room_are_counted(void) {
  struct test_link from = open_with(KPX_FLAG_OFFLOAD, 1500);
  uint32_t options[KPX_OPTION_WORDS];
  default_options(options, KPX_ETHERNET);
  options[KPX_OPTION_IFINDEX] = lo;
  options[KPX_OPTION_FLAGS] = KPX_FLAG_OFFLOAD | receiving;
  options[KPX_OPTION_RECEIVE_BUFFER] = 8192;
  struct test_link to = open_link(options, KPX_OPTION_WORDS);
  const uint32_t sent = 20, each = 10;
  for (uint32_t i = 0; i < each; i++) put_marked(&from, i, 1, 1, 1000);
  for (uint32_t i = 0; i < sent; i++) EQUAL(kpx_link_step(from.handle, each, 0, 0, 0), 0);
  uint32_t frames = 0;
  for (int received; (received = kpx_link_step(to.handle, 0, 16, 0, 100000)) > 0; frames += (uint32_t)received) {}
  CHECK(frames > 0 && frames % each == 0);
  EQUAL(frames / each + counter(to.handle, KPX_RX_DROPPED), sent);
  EQUAL(counter(to.handle, KPX_RX_TRUNCATED), 0);
  put_marked(&from, 0, 1, 0, 100);
  EQUAL(kpx_link_step(from.handle, 1, 0, 0, 0), 0);
  EQUAL(kpx_link_step(to.handle, 0, 16, 0, 1000000), 1);
  kpx_link_close(to.handle);
  kpx_link_close(from.handle);
}

static void each_frame_has_its_checksum(void) {
  uint32_t options[KPX_OPTION_WORDS];
  default_options(options, KPX_ETHERNET);
  options[KPX_OPTION_IFINDEX] = lo;
  options[KPX_OPTION_FLAGS] = KPX_FLAG_OFFLOAD | receiving;
  options[KPX_OPTION_CHECKSUM_OFFSET] = 10;
  options[KPX_OPTION_MAIN_ETHERTYPE] = MAIN;
  struct test_link link = open_link(options, KPX_OPTION_WORDS);
  struct test_link wrong = open_with(KPX_FLAG_OFFLOAD, 1500);
  const uint32_t to[KPX_ADDRESS_WORDS] = {1, 2, 1};
  uint8_t bytes[60] = {[10] = 60};
  for (uint32_t i = 0; i < 4; i++) {
    put(&link, i, to, KPX_PORT_WIRE, bytes, 60);
    link.tx[i * KPX_DESCRIPTOR_WORDS + KPX_PROTOCOL] = MAIN;
  }
  EQUAL(kpx_link_step(link.handle, 4, 16, 0, 0), 4);
  for (uint32_t i = 0; i < 4; i++) EQUAL(link.rx[i * KPX_DESCRIPTOR_WORDS + KPX_LENGTH], 64);
  for (uint32_t i = 0; i < 2; i++) put_marked(&wrong, i, 1, 1, 100);
  kpx_link_step(wrong.handle, 2, 0, 0, 0);
  EQUAL(kpx_link_step(link.handle, 0, 16, 0, 1000), 0);
  EQUAL(counter(link.handle, KPX_RX_BAD_CHECKSUM), 2);
  kpx_link_close(wrong.handle);
  kpx_link_close(link.handle);
}

static void who_has_no_room_for_headers_has_no_bundles(void) {
  const struct { uint32_t flags, most, payload; } cases[] = {
      {KPX_FLAG_OFFLOAD, 1500, MOST}, {KPX_FLAG_OFFLOAD, 9000, 8972}, {KPX_FLAG_OFFLOAD, 60, 32},
      {0, 1500, 0}, {KPX_FLAG_OFFLOAD, 65484, 65456}, {KPX_FLAG_OFFLOAD, 65485, 0}};
  for (uint32_t i = 0; i < 6; i++) {
    struct test_link link = open_with(cases[i].flags, cases[i].most);
    double info[KPX_INFO_COUNT];
    kpx_link_info(link.handle, info, KPX_INFO_COUNT);
    EQUAL(info[KPX_INFO_BUNDLE_PAYLOAD], cases[i].payload);
    kpx_link_close(link.handle);
  }
}

static void the_longest_frames_arrive(void) {
  const uint32_t most[] = {65484, 65485, 65536};
  static uint8_t bytes[65536];
  for (uint32_t i = 0; i < 3; i++) {
    struct test_link link = open_with(KPX_FLAG_OFFLOAD, most[i]);
    const uint32_t to[KPX_ADDRESS_WORDS] = {1, 2, 1};
    bytes[most[i] - 1] = 7;
    put(&link, 0, to, KPX_PORT_WIRE, bytes, most[i]);
    link.tx[KPX_PROTOCOL] = MAIN;
    EQUAL(kpx_link_step(link.handle, 1, SLOTS, 0, 0), 1);
    EQUAL(link.rx[KPX_LENGTH], most[i]);
    EQUAL(payload_of(&link, link.rx)[most[i] - 1], 7);
    kpx_link_close(link.handle);
  }
}

static void switch_feature(const char *name, bool on) {
  static struct { struct ethtool_gstrings head; char names[256][ETH_GSTRING_LEN]; } strings;
  static struct { struct ethtool_sfeatures head; struct ethtool_set_features_block blocks[8]; } features;
  strings.head = (struct ethtool_gstrings){.cmd = ETHTOOL_GSTRINGS, .string_set = ETH_SS_FEATURES};
  struct ifreq request = {.ifr_name = "lo", .ifr_data = (char *)&strings};
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  CHECK(ioctl(fd, SIOCETHTOOL, &request) == 0);
  uint32_t bit = 0;
  while (bit < strings.head.len && strcmp(strings.names[bit], name) != 0) bit++;
  CHECK(bit < strings.head.len);
  memset(&features, 0, sizeof features);
  features.head = (struct ethtool_sfeatures){.cmd = ETHTOOL_SFEATURES, .size = (strings.head.len + 31) / 32};
  features.blocks[bit / 32].valid = 1u << bit % 32;
  features.blocks[bit / 32].requested = on ? 1u << bit % 32 : 0;
  request.ifr_data = (char *)&features;
  CHECK(ioctl(fd, SIOCETHTOOL, &request) == 0);
  close(fd);
}

/* Such a card drops bundles whose sender passes the queueing discipline by. */
static void what_a_card_cannot_cut_leaves_as_single_frames(void) {
  struct test_link link = open_with(KPX_FLAG_OFFLOAD, 1500);
  struct test_link plain = open_with(0, 70000);
  switch_feature("tx-udp-segmentation", false);
  for (uint32_t round = 0; round < 2; round++) {
    for (uint32_t i = 0; i < 8; i++) put_marked(&link, i, 1, 1, MOST);
    put_marked(&link, 8, 1, KPX_MARK_BUNDLE | 1, MOST);
    put_marked(&link, 9, 1, KPX_MARK_BUNDLE | 1, MOST);
    EQUAL(kpx_link_step(link.handle, 10, SLOTS, 0, 0), 8);
    for (uint32_t i = 0; i < 8; i++) expect(&link, i, i, MOST);
  }
  EQUAL(counter(link.handle, KPX_TX_DROPPED), 0);
  uint32_t bundles;
  EQUAL(packets(&plain, &bundles), 16);
  EQUAL(bundles, 0);
  switch_feature("tx-udp-segmentation", true);
  kpx_link_close(plain.handle);
  kpx_link_close(link.handle);
}

/* A packet like a bundle's, with this much payload and these words of a virtio header. */
static bool send_odd(int fd, uint8_t gso_type, uint16_t gso_size, uint32_t length) {
  static uint8_t message[52 + 65000];
  const struct virtio_net_hdr hint = {
      .flags = gso_type == 0 ? 0 : VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = gso_type, .hdr_len = 42, .gso_size = gso_size, .csum_start = 34, .csum_offset = 6};
  const uint8_t headers[] = {
      1, 2, 3, 4, 5, 6, 0, 0, 0, 0, 0, 0, 8, 0,
      0x45, 0, 0, 0, 0, 0, 0, 0, 1, 17, 0, 0, 0, 0, 0, 0, 224, 0, 0, 254,
      0x88, 0xB5, 0x88, 0xB5, 0, 0, 0, 0};
  memcpy(message, &hint, sizeof hint);
  memcpy(message + 10, headers, sizeof headers);
  const uint32_t total = 28 + length;
  message[26] = (uint8_t)(total >> 8);
  message[27] = (uint8_t)total;
  message[48] = (uint8_t)((total - 20) >> 8);
  message[49] = (uint8_t)(total - 20);
  memset(message + 52, 9, length);
  return send(fd, message, 52 + length, 0) == (ssize_t)(52 + length);
}

/* Others may send what looks like a bundle, cut as they like. */
static void odd_bundles_cost_frames_only(void) {
  int fd = socket(AF_PACKET, SOCK_RAW, 0);
  int yes = 1;
  const struct sockaddr_ll name = {.sll_family = AF_PACKET, .sll_ifindex = (int)lo};
  CHECK(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &yes, sizeof yes) == 0);
  CHECK(bind(fd, (const struct sockaddr *)&name, sizeof name) == 0);
  struct test_link link = open_with(KPX_FLAG_OFFLOAD, 1500);
  const struct { uint8_t type; uint16_t size; uint32_t length, frames, cut; } cases[] = {
      {0, 0, 0, 1, 0}, {0, 0, 1, 1, 0}, {0, 0, 1500, 1, 0}, {0, 0, 1501, 0, 1},
      {5, 10, 1001, 101, 0}, {5, 501, 64000, 128, 0}, {5, 1499, 60000, 41, 0}, {5, 2000, 60000, 0, 30}, {5, 65000, 900, 1, 0}};
  for (uint32_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    double cut = counter(link.handle, KPX_RX_TRUNCATED);
    CHECK(send_odd(fd, cases[i].type, cases[i].size, cases[i].length));
    uint32_t frames = 0;
    for (int received; (received = kpx_link_step(link.handle, 0, SLOTS, 0, 1000)) != 0; frames += (uint32_t)received) {
      CHECK(received > 0);
      for (int j = 0; j < received; j++) {
        const uint32_t *descriptor = link.rx + j * KPX_DESCRIPTOR_WORDS;
        EQUAL(descriptor[KPX_OFFSET] % 4, 0);
        for (uint32_t b = 0; b < descriptor[KPX_LENGTH]; b++) EQUAL(payload_of(&link, descriptor)[b], 9);
      }
    }
    EQUAL(frames, cases[i].frames);
    EQUAL(counter(link.handle, KPX_RX_TRUNCATED) - cut, cases[i].cut);
  }
  close(fd);
  put_marked(&link, 0, 1, 0, 100);
  EQUAL(kpx_link_step(link.handle, 1, SLOTS, 0, 0), 1);
  kpx_link_close(link.handle);
}

static void set_up(bool up) {
  struct ifreq request = {.ifr_name = "lo"};
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  CHECK(ioctl(fd, SIOCGIFFLAGS, &request) == 0);
  request.ifr_flags = (short)(up ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP);
  CHECK(ioctl(fd, SIOCSIFFLAGS, &request) == 0);
  close(fd);
}

static void what_cannot_be_sent_is_counted_frame_by_frame(void) {
  struct test_link link = open_with(KPX_FLAG_OFFLOAD, 1500);
  for (uint32_t i = 0; i < 5; i++) put_marked(&link, i, 1, 1, 100);
  put_marked(&link, 5, 1, 0, 100);
  set_up(false);
  EQUAL(kpx_link_step(link.handle, 6, 0, 0, 0), 0);
  set_up(true);
  EQUAL(counter(link.handle, KPX_TX_DROPPED), 6);
  EQUAL(counter(link.handle, KPX_TX_FRAMES), 0);
  kpx_link_close(link.handle);
}

int main(void) {
  if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) skip("needs a network namespace");
  lo = if_nametoindex("lo");
  CHECK(lo > 0);
  EQUAL(kpx_interface_up("lo", 2), 0);
  struct test_link link = open_with(KPX_FLAG_OFFLOAD, 1500);
  double info[KPX_INFO_COUNT];
  kpx_link_info(link.handle, info, KPX_INFO_COUNT);
  kpx_link_close(link.handle);
  if (info[KPX_INFO_BUNDLE_PAYLOAD] == 0) skip("the kernel has no bundles for raw Ethernet");
  const uint32_t ways[] = {0, KPX_FLAG_RING};
  for (uint32_t i = 0; i < 2; i++) {
    receiving = ways[i];
    all_kinds_of_lengths_arrive();
    what_differs_stays_apart();
    a_bundle_is_a_datagram_to_nobody();
    bundles_of_two_marks_or_links_are_two_flows();
    what_is_to_be_a_bundle_is_one_or_nothing();
    what_is_too_long_for_the_receiver_is_dropped_alone();
    bundles_that_find_no_room_are_counted();
    each_frame_has_its_checksum();
    who_has_no_room_for_headers_has_no_bundles();
    the_longest_frames_arrive();
    what_a_card_cannot_cut_leaves_as_single_frames();
    what_cannot_be_sent_is_counted_frame_by_frame();
    odd_bundles_cost_frames_only();
  }
  return 0;
}
