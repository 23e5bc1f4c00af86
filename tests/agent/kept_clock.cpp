// The kernel's word on the clock, for a machine on which nobody keeps it: that somebody does.

#include <sys/timex.h>

extern "C" int adjtimex(timex* state) {
  *state = {};
  return TIME_OK;
}
