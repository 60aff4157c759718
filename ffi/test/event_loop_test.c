/* The event loop's descriptor is found, and not taken for one in which another thread sleeps. */
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "link_support.h"

static int ended;

static void *sleep_in(void *epoll) {
  struct epoll_event event;
  CHECK(epoll_wait(*(const int *)epoll, &event, 1, -1) == 1);
  return NULL;
}

int main(void) {
  alarm(30);
  EQUAL(kpx_event_loop_fd(), -ENOENT);
  int other = epoll_create1(EPOLL_CLOEXEC);
  EQUAL(kpx_event_loop_fd(), other);
  int own = epoll_create1(EPOLL_CLOEXEC);
  EQUAL(kpx_event_loop_fd(), other);
  ended = eventfd(0, EFD_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN};
  CHECK(epoll_ctl(other, EPOLL_CTL_ADD, ended, &event) == 0);
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, sleep_in, &other) == 0);
  if (access("/proc/self/syscall", R_OK) == 0)
    while (kpx_event_loop_fd() != own) usleep(1000);
  CHECK(eventfd_write(ended, 1) == 0);
  pthread_join(thread, NULL);
  EQUAL(kpx_event_loop_fd(), other);
  int more[40];
  for (int i = 0; i < 40; i++) more[i] = epoll_create1(EPOLL_CLOEXEC);
  EQUAL(kpx_event_loop_fd(), other);
  for (int i = 0; i < 40; i++) close(more[i]);
  return 0;
}
