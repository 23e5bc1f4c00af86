#include "protocol/base/error.hpp"

#include <cerrno>
#include <cstring>

namespace outcrop {

std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_argument:
      return "invalid argument";
    case ErrorCode::invalid_data:
      return "invalid data";
    case ErrorCode::not_found:
      return "not found";
    case ErrorCode::already_exists:
      return "already exists";
    case ErrorCode::io:
      return "input/output";
    case ErrorCode::no_space:
      return "no space";
    case ErrorCode::untrusted:
      return "untrusted";
    case ErrorCode::expired:
      return "expired";
    case ErrorCode::revoked:
      return "revoked";
    case ErrorCode::refused:
      return "refused";
    case ErrorCode::unsupported:
      return "unsupported";
    case ErrorCode::timeout:
      return "timeout";
    case ErrorCode::crashed:
      return "crashed";
    case ErrorCode::out_of_memory:
      return "out of memory";
    case ErrorCode::diverged:
      return "diverged";
    case ErrorCode::interrupted:
      return "interrupted";
    case ErrorCode::internal:
      return "internal";
  }
  return "unknown";
}

Error Error::context(std::string_view what) const {
  return {code_, std::string(what) + ": " + message_};
}

Error Error::from_errno(std::string_view what) {
  const int number = errno;
  ErrorCode code = ErrorCode::io;
  if (number == ENOSPC || number == EDQUOT) code = ErrorCode::no_space;
  if (number == ENOENT) code = ErrorCode::not_found;
  if (number == ENOMEM) code = ErrorCode::out_of_memory;
  return {code, std::string(what) + ": " + std::strerror(number)};
}

}  // namespace outcrop
