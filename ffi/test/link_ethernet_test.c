/*
 * Raw Ethernet on the loopback interface of a network namespace of the test's own: both receive modes, the EtherType
 * with and without checksum, bounds. What needs two hosts is in test/native_link.test.ts.
 */
#include <net/if.h>

#include "link_support.h"

#define MAIN 0x88B5u

static uint32_t lo;

static void lo_options(uint32_t *options, uint32_t flags) {
  default_options(options, KPX_ETHERNET);
  options[KPX_OPTION_IFINDEX] = lo;
  options[KPX_OPTION_FLAGS] = flags;
}

static void put_typed(struct test_link *link, uint32_t slot, uint32_t type, uint32_t ports, const void *bytes,
                      uint32_t length) {
  const uint32_t to[KPX_ADDRESS_WORDS] = {0x04030201u, 0x0605u};
  put(link, slot, to, ports, bytes, length);
  link->tx[slot * KPX_DESCRIPTOR_WORDS + KPX_PROTOCOL] = type;
}

static void frames_come_back_once(uint32_t flags) {
  uint32_t options[KPX_OPTION_WORDS];
  lo_options(options, flags);
  options[KPX_OPTION_BIND_ETHERTYPE] = MAIN;
  struct test_link link = open_link(options, KPX_OPTION_WORDS);
  uint8_t bytes[1500];
  for (uint32_t round = 0; round < 200; round++) {
    for (uint32_t i = 0; i < 8; i++) {
      memset(bytes, (int)(round + i), sizeof bytes);
      put_typed(&link, i, MAIN, 1 + i % 3, bytes, i == 7 ? 1500 : i * 9);
    }
    put_typed(&link, 8, 0xCAFA, KPX_PORT_WIRE, bytes, 10);
    EQUAL(kpx_link_step(link.handle, 9, 16, 0, 0), 8);
    for (uint32_t i = 0; i < 8; i++) {
      const uint32_t *descriptor = link.rx + i * KPX_DESCRIPTOR_WORDS;
      EQUAL(descriptor[KPX_LENGTH], i == 7 ? 1500 : i * 9);
      EQUAL(descriptor[KPX_OFFSET] % 4, 0);
      EQUAL(descriptor[KPX_PROTOCOL], MAIN);
      EQUAL(descriptor[KPX_PORTS], KPX_PORT_WIRE);
      EQUAL(descriptor[KPX_ADDRESS], 0);
      if (i > 0) EQUAL(payload_of(&link, descriptor)[i * 9 - 1], (uint8_t)(round + i));
      EQUAL(payload_of(&link, descriptor)[-14], 1);
      EQUAL(payload_of(&link, descriptor)[-9], 6);
    }
  }
  EQUAL(kpx_link_step(link.handle, 0, 16, 0, 10000), 0);
  EQUAL(counter(link.handle, KPX_RX_FRAMES), 1600);
  EQUAL(counter(link.handle, KPX_TX_FRAMES), 1800);
  kpx_link_close(link.handle);
}

static void frames_longer_than_a_slot_are_counted(uint32_t flags) {
  uint32_t options[KPX_OPTION_WORDS];
  lo_options(options, 0);
  struct test_link large = open_link(options, KPX_OPTION_WORDS);
  lo_options(options, flags);
  options[KPX_OPTION_MAX_PAYLOAD] = 200;
  struct test_link small = open_link(options, KPX_OPTION_WORDS);
  uint8_t bytes[1500] = {0};
  for (uint32_t i = 0; i < 3; i++) put_typed(&large, i, MAIN, KPX_PORT_WIRE, bytes, 199 + i);
  put_typed(&large, 3, MAIN, KPX_PORT_WIRE, bytes, 1500);
  kpx_link_step(large.handle, 4, 0, 0, 0);
  EQUAL(kpx_link_step(small.handle, 0, 16, 0, 1000), 2);
  EQUAL(counter(small.handle, KPX_RX_TRUNCATED), 2);
  kpx_link_close(large.handle);
  kpx_link_close(small.handle);
}

static void only_the_main_ethertype_has_a_checksum(uint32_t flags) {
  uint32_t options[KPX_OPTION_WORDS];
  lo_options(options, flags);
  struct test_link plain = open_link(options, KPX_OPTION_WORDS);
  options[KPX_OPTION_CHECKSUM_OFFSET] = 10;
  options[KPX_OPTION_MAIN_ETHERTYPE] = MAIN;
  struct test_link sealed = open_link(options, KPX_OPTION_WORDS);
  uint8_t bytes[40] = {[10] = 40};
  put_typed(&sealed, 0, MAIN, KPX_PORT_WIRE, bytes, 40);
  put_typed(&sealed, 1, 0xCAFA, KPX_PORT_WIRE, bytes, 40);
  EQUAL(kpx_link_step(sealed.handle, 2, 16, 0, 0), 2);
  EQUAL(sealed.rx[KPX_LENGTH], 44);
  EQUAL(sealed.rx[KPX_DESCRIPTOR_WORDS + KPX_LENGTH], 40);
  put_typed(&plain, 0, MAIN, KPX_PORT_WIRE, bytes, 40);
  put_typed(&plain, 1, 0xCB05, KPX_PORT_WIRE, bytes, 40);
  kpx_link_step(plain.handle, 2, 0, 0, 0);
  EQUAL(kpx_link_step(sealed.handle, 0, 16, 0, 0), 1);
  EQUAL(sealed.rx[KPX_PROTOCOL], 0xCB05);
  EQUAL(counter(sealed.handle, KPX_RX_BAD_CHECKSUM), 1);
  kpx_link_close(plain.handle);
  kpx_link_close(sealed.handle);
}

int main(void) {
  if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) skip("needs a network namespace");
  lo = if_nametoindex("lo");
  CHECK(lo > 0);
  uint32_t options[KPX_OPTION_WORDS];
  lo_options(options, 0);
  struct test_link down = open_link(options, KPX_OPTION_WORDS);
  put_typed(&down, 0, MAIN, KPX_PORT_WIRE, "x", 1);
  EQUAL(kpx_link_step(down.handle, 1, 16, 0, 0), 0); /* the interface is down: a lost frame, no error */
  EQUAL(counter(down.handle, KPX_TX_DROPPED), 1);
  kpx_link_close(down.handle);
  EQUAL(kpx_interface_up("lo", 2), 0);
  options[KPX_OPTION_IFINDEX] = 9999;
  EQUAL(kpx_link_open(options, KPX_OPTION_WORDS), -ENODEV);
  const uint32_t kinds[] = {0, KPX_FLAG_RING, KPX_FLAG_OFFLOAD, KPX_FLAG_OFFLOAD | KPX_FLAG_RING};
  for (uint32_t i = 0; i < 4; i++) {
    uint32_t flags = kinds[i];
    frames_come_back_once(flags);
    frames_longer_than_a_slot_are_counted(flags);
    only_the_main_ethertype_has_a_checksum(flags);
  }
  return 0;
}
