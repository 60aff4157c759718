/* Checks the options of a link and fills in what needs no system call. */
#include <errno.h>
#include <string.h>

#include "link.h"

static bool within(uint32_t value, uint32_t least, uint32_t most) {
  return value >= least && value <= most;
}

static int configure_checksum(struct kpx_link *link, const uint32_t *options) {
  uint32_t offset = options[KPX_OPTION_CHECKSUM_OFFSET];
  uint32_t keys = options[KPX_OPTION_KEYS];
  if (keys > KPX_MAX_KEYS || (keys > 0 && offset == KPX_NONE)) return -EINVAL;
  link->trailer = keys > 0 ? KPX_MAC_BYTES : KPX_CRC_BYTES;
  if (offset != KPX_NONE && offset > link->max_payload - link->trailer - 2) return -EINVAL;
  link->checksum_offset = offset;
  link->key_count = keys;
  const uint8_t *key = (const uint8_t *)(options + KPX_OPTION_KEY);
  for (uint32_t i = 0; i < keys; i++) kpx_hmac_set(&link->keys[i], key + i * KPX_KEY_BYTES, KPX_KEY_BYTES);
  link->main_ethertype = options[KPX_OPTION_MAIN_ETHERTYPE];
  return 0;
}

static int configure_ethernet(struct kpx_link *link, const uint32_t *options) {
  if (options[KPX_OPTION_IFINDEX] == 0 || options[KPX_OPTION_IFINDEX] > INT32_MAX) return -ENODEV;
  if (options[KPX_OPTION_BIND_ETHERTYPE] > 0xFFFF || link->main_ethertype > 0xFFFF) return -EINVAL;
  link->ifindex = (int)options[KPX_OPTION_IFINDEX];
  /* A slot may leave through the interface and through lo. */
  link->tx_messages = 2 * link->tx_slots;
  link->family = AF_PACKET;
  /* Where the kernel knows no bundles one header stays unused (ethernet.c). A frame may be as long as a bundle. */
  bool fits = link->max_payload <= KPX_MESSAGE_BYTES - KPX_WRAPPING;
  bool bundles = fits && (link->flags & KPX_FLAG_OFFLOAD) != 0;
  link->header = KPX_ETHERNET_HEADER + (bundles ? KPX_VNET_HEADER : 0);
  /* The header is written before the payload, and the payload is 4-aligned. */
  link->payload_at = (link->header + 3) & ~3u;
  return 0;
}

/* All groups there may be differ in the last bits of the first one's address. */
static bool has_groups(const struct kpx_link *link, const uint32_t *options) {
  if ((link->flags & KPX_FLAG_MULTICAST) == 0) return true;
  uint32_t last = options[KPX_OPTION_MULTICAST + 3] >> 24;
  return options[KPX_OPTION_GROUPS] >> KPX_GROUPS == 0 && last % KPX_GROUPS == 0;
}

static int configure_udp(struct kpx_link *link, const uint32_t *options) {
  uint32_t family = options[KPX_OPTION_FAMILY];
  if (family != 4 && family != 6) return -EAFNOSUPPORT;
  if ((link->flags & (KPX_FLAG_RING | KPX_FLAG_PROMISCUOUS)) != 0) return -EINVAL;
  if (options[KPX_OPTION_SECOND_FILTER_COUNT] > 0) return -EINVAL;
  if (!has_groups(link, options)) return -EINVAL;
  link->family = family == 4 ? AF_INET : AF_INET6;
  link->main_ethertype = 0;
  link->tx_messages = link->tx_slots;
  return 0;
}

int kpx_link_configure(struct kpx_link *link, const uint32_t *options, uint32_t count) {
  if (options == NULL || count < KPX_OPTION_WORDS) return -EINVAL;
  uint32_t filter = options[KPX_OPTION_FILTER_COUNT];
  uint32_t second = options[KPX_OPTION_SECOND_FILTER_COUNT];
  if (filter > KPX_MAX_FILTER || second > KPX_MAX_FILTER) return -EINVAL;
  if (count - KPX_OPTION_WORDS < (filter + second) * 2) return -EINVAL;
  /* Without a filter the first queue would have the second one's frames, too. */
  if (second > 0 && filter == 0) return -EINVAL;
  link->kind = options[KPX_OPTION_KIND];
  link->flags = options[KPX_OPTION_FLAGS];
  link->rx_slots = options[KPX_OPTION_RX_SLOTS];
  link->tx_slots = options[KPX_OPTION_TX_SLOTS];
  link->max_payload = options[KPX_OPTION_MAX_PAYLOAD];
  link->lo_index = -1;
  if (!within(link->rx_slots, 1, KPX_MAX_SLOTS) || !within(link->tx_slots, 1, KPX_MAX_SLOTS)) return -EINVAL;
  if (!within(link->max_payload, KPX_MIN_PAYLOAD, KPX_MAX_PAYLOAD)) return -EINVAL;
  int result = configure_checksum(link, options);
  if (result < 0) return result;
  if (link->kind == KPX_ETHERNET) return configure_ethernet(link, options);
  if (link->kind == KPX_UDP) return configure_udp(link, options);
  return -EINVAL;
}
