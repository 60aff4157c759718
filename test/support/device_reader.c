/*
 * A program as those written for Kernel_Paxos: opens the device, and takes each read(2) of 4096 bytes for one record. For
 * each it prints its size as the record says it, the bytes of the read, and the value's first byte; "end" at end of file.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  int fd = open(argv[1], O_RDONLY);
  if (fd < 0) return 1;
  printf("open\n");
  fflush(stdout);
  char buffer[4096];
  ssize_t n;
  while ((n = read(fd, buffer, sizeof buffer)) > 0) {
    uint64_t size = 0;
    memcpy(&size, buffer, sizeof size);
    printf("%llu %zd %d\n", (unsigned long long)size, n, n > 8 ? (unsigned char)buffer[8] : -1);
    fflush(stdout);
  }
  printf("end\n");
  return n < 0;
}
