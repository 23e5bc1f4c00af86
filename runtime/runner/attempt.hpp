#pragma once

#include <cerrno>
#include <cstring>
#include <string>

namespace outcrop::runtime {

// One thing that a confined process must not be able to do, really tried.
struct Attempt {
  std::string what;  // "write a file"
  bool refused = false;
  std::string detail;  // "Operation not permitted"
};

// `action` says whether it succeeded, and leaves the reason in errno where not.
template <class Try>
[[nodiscard]] Attempt attempt(const char* what, Try action) {
  errno = 0;
  const bool succeeded = action();
  return {what, !succeeded, succeeded ? "it worked" : std::strerror(errno)};
}

// With the flags of open(2); what it makes is left behind.
[[nodiscard]] bool can_open(const char* path, int flags);
[[nodiscard]] bool can_make_socket(int family);  // AF_UNIX

}  // namespace outcrop::runtime
