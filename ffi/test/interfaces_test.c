/* The list of interfaces has lo in it, in a buffer of any size; bad names are refused. */
#include "link_support.h"

int main(void) {
  uint32_t words[64 * KPX_INTERFACE_WORDS];
  int32_t count = kpx_interfaces(words, sizeof words / 4);
  CHECK(count >= 1 && count <= 64);
  int found = 0;
  for (int32_t i = 0; i < count; i++) {
    const uint32_t *interface = words + (uint32_t)i * KPX_INTERFACE_WORDS;
    CHECK(interface[0] > 0);
    if (strcmp((const char *)(interface + 6), "lo") != 0) continue;
    found++;
    CHECK((interface[1] & KPX_INTERFACE_LOOPBACK) != 0 && (interface[1] & KPX_INTERFACE_ETHERNET) != 0);
    CHECK(interface[2] >= 1500);
  }
  EQUAL(found, 1);
  EQUAL(kpx_interfaces(NULL, 0), count);
  EQUAL(kpx_interfaces(NULL, 10), -EINVAL);
  words[KPX_INTERFACE_WORDS] = 0xABABABABu;
  EQUAL(kpx_interfaces(words, KPX_INTERFACE_WORDS + 9), count);
  EQUAL(words[KPX_INTERFACE_WORDS], 0xABABABABu);
  EQUAL(kpx_interface_up(NULL, 3), -EINVAL);
  EQUAL(kpx_interface_up("", 0), -EINVAL);
  EQUAL(kpx_interface_up("a-name-that-is-long", 19), -EINVAL);
  EQUAL(kpx_interface_up("kpx-none", 8), -ENODEV);
  return 0;
}
