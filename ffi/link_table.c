/*
 * Handles. A handle is (generation << 8 | place): a place that is used again has another generation, so a handle
 * kept too long names nothing. A link that is closed while a thread is inside is destroyed when that thread leaves.
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/eventfd.h>

#include "link.h"

struct place {
  struct kpx_link *link; /* NULL: free */
  uint32_t generation;
  bool busy;
  bool closing;
};

static struct place places[KPX_MAX_LINKS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct place *find(int32_t handle) {
  uint32_t place = (uint32_t)handle & 255u;
  if (handle <= 0 || place >= KPX_MAX_LINKS || places[place].link == NULL) return NULL;
  return places[place].generation == (uint32_t)handle >> 8 ? &places[place] : NULL;
}

int32_t kpx_table_add(struct kpx_link *link) {
  int32_t handle = -EMFILE;
  pthread_mutex_lock(&lock);
  for (uint32_t i = 0; i < KPX_MAX_LINKS && handle < 0; i++) {
    if (places[i].link != NULL) continue;
    uint32_t generation = places[i].generation % 0x7FFFFFu + 1;
    places[i] = (struct place){.link = link, .generation = generation};
    handle = (int32_t)(generation << 8 | i);
  }
  pthread_mutex_unlock(&lock);
  return handle;
}

int kpx_table_enter(int32_t handle, struct kpx_link **link) {
  int result = 0;
  pthread_mutex_lock(&lock);
  struct place *place = find(handle);
  if (place == NULL || place->closing) {
    result = -EBADF;
  } else if (place->busy) {
    result = -EBUSY;
  } else {
    place->busy = true;
    *link = place->link;
  }
  pthread_mutex_unlock(&lock);
  return result;
}

static struct kpx_link *take_out(struct place *place) {
  struct kpx_link *link = place->link;
  place->link = NULL;
  return link;
}

void kpx_table_leave(int32_t handle) {
  struct kpx_link *last = NULL;
  pthread_mutex_lock(&lock);
  struct place *place = find(handle);
  if (place != NULL) {
    place->busy = false;
    if (place->closing) last = take_out(place);
  }
  pthread_mutex_unlock(&lock);
  if (last != NULL) kpx_link_destroy(last);
}

int kpx_table_close(int32_t handle) {
  struct kpx_link *last = NULL;
  pthread_mutex_lock(&lock);
  struct place *place = find(handle);
  bool known = place != NULL && !place->closing;
  if (known) {
    place->closing = true;
    if (place->busy)
      (void)eventfd_write(place->link->wake_fd, 1);
    else
      last = take_out(place);
  }
  pthread_mutex_unlock(&lock);
  if (last != NULL) kpx_link_destroy(last);
  return known ? 0 : -EBADF;
}

int kpx_table_wake(int32_t handle) {
  int result = 0;
  pthread_mutex_lock(&lock);
  struct place *place = find(handle);
  /* A full counter (EAGAIN) is a wake that has not been seen yet: enough. */
  if (place == NULL || place->closing)
    result = -EBADF;
  else if (eventfd_write(place->link->wake_fd, 1) < 0 && errno != EAGAIN)
    result = -errno;
  pthread_mutex_unlock(&lock);
  return result;
}
