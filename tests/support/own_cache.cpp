#include <stdlib.h>

namespace outcrop {
namespace {

[[maybe_unused]] const int set = ::setenv("XDG_CACHE_HOME", OUTCROP_TEST_CACHE, 1);

}  // namespace
}  // namespace outcrop
