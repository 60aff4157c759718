/* Waiting for a frame: spin for a while if told to, then sleep on everything that may end the wait, all receivers at
 * once. */
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>

#include "link.h"

/* While spinning, how often the other descriptors are looked at. */
#define LOOK_ROUND_US 50u

/* What a sleep looks at: the wake, the receivers, the watched. */
#define MAX_POLLED (1u + KPX_MAX_RECEIVERS + KPX_MAX_WATCHED)

static uint64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static void relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static void forget_closed(struct kpx_link *link, const struct pollfd *polled) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < link->watched_count; i++)
    if ((polled[i].revents & POLLNVAL) == 0) link->watched[kept++] = link->watched[i];
  link->watched_count = kept;
}

/* Reading a stored error clears it; left there, every sleep would end at once. */
static void clear_error(int fd) {
  int error;
  socklen_t length = sizeof error;
  (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
}

/* Sleeps for at most `us`; `frames`: the receivers that have some. Returns 1 when something other than a frame ended it, 0
 * otherwise, or -errno. */
static int sleep_on_all(struct kpx_link *link, uint64_t us, uint32_t *frames) {
  *frames = 0;
  struct pollfd polled[MAX_POLLED] = {{.fd = link->wake_fd, .events = POLLIN}};
  struct pollfd *receivers = polled + 1;
  struct pollfd *watched = receivers + link->receiver_count;
  for (uint32_t i = 0; i < link->receiver_count; i++)
    receivers[i] = (struct pollfd){.fd = link->receivers[i].fd, .events = POLLIN};
  for (uint32_t i = 0; i < link->watched_count; i++)
    watched[i] = (struct pollfd){.fd = link->watched[i], .events = POLLIN};
  struct timespec timeout = {.tv_sec = (time_t)(us / 1000000u), .tv_nsec = (long)(us % 1000000u) * 1000};
  int ready = ppoll(polled, 1 + link->receiver_count + link->watched_count, &timeout, NULL);
  if (ready < 0) return errno == EINTR ? 1 : -errno;
  for (uint32_t i = 0; i < link->receiver_count; i++) {
    if (receivers[i].revents == 0) continue;
    ready--;
    *frames |= 1u << i;
    if ((receivers[i].revents & POLLNVAL) != 0) return -EBADF;
    if ((receivers[i].revents & POLLERR) != 0) clear_error(receivers[i].fd);
  }
  /* What is left is no frame. */
  if (ready == 0) return 0;
  eventfd_t wakes;
  if (polled[0].revents != 0) (void)eventfd_read(link->wake_fd, &wakes);
  forget_closed(link, watched);
  return 1;
}

/* Returns frames, 0 when the time is over, or -EINTR when something else ended it. */
static int spin(struct kpx_link *link, uint32_t max, uint64_t from, uint64_t until) {
  uint64_t look = from + LOOK_ROUND_US;
  for (uint64_t now = from; now < until; now = now_us()) {
    int received = max > 0 ? kpx_receive(link, max, KPX_ALL_RECEIVERS) : 0;
    if (received != 0) return received;
    if (now >= look) {
      uint32_t frames;
      int ended = sleep_on_all(link, 0, &frames);
      if (ended != 0) return ended < 0 ? ended : -EINTR;
      look = now + LOOK_ROUND_US;
    }
    relax();
  }
  return 0;
}

int kpx_wait(struct kpx_link *link, uint32_t max, uint32_t spin_us, uint32_t wait_us) {
  uint64_t waited = 0;
  if (spin_us > 0) {
    uint64_t from = now_us();
    int result = spin(link, max, from, from + (spin_us < wait_us ? spin_us : wait_us));
    if (result == -EINTR) return max > 0 ? kpx_receive(link, max, KPX_ALL_RECEIVERS) : 0;
    if (result != 0) return result;
    waited = now_us() - from;
    if (waited >= wait_us) return 0;
  }
  uint32_t frames;
  int ended = sleep_on_all(link, wait_us - waited, &frames);
  if (ended < 0) return ended;
  return max > 0 && frames != 0 ? kpx_receive(link, max, frames) : 0;
}
