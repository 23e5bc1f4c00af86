#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <tl/expected.hpp>

namespace outcrop {

// What kind of thing went wrong. Callers branch on the code; people read the message.
enum class ErrorCode {
  invalid_argument,  // a caller or a user asked for something that makes no sense
  invalid_data,      // bytes that do not mean what their place says they mean
  not_found,
  already_exists,
  io,         // the operating system refused to read or write
  no_space,   // the disk or a quota is full
  untrusted,  // a signature, digest or role does not hold
  expired,
  revoked,
  refused,      // a policy says no: operator list, confinement, cap, budget
  unsupported,  // this build or machine cannot do it
  timeout,
  crashed,  // a child process ended without an answer
  out_of_memory,
  diverged,     // training met a number that is not finite
  interrupted,  // a person or the system asked to stop
  internal,     // a defect of ours
};

[[nodiscard]] std::string_view to_string(ErrorCode code);

// A failure: its kind and a message that says what, where and what would be right.
// The message grows on the way up: `context` puts the caller's words in front.
class [[nodiscard]] Error {
 public:
  Error(ErrorCode code, std::string message) : code_(code), message_(std::move(message)) {}

  [[nodiscard]] ErrorCode code() const { return code_; }
  [[nodiscard]] const std::string& message() const { return message_; }

  // "reading /x/y: cut short" from context("reading /x/y") on "cut short".
  [[nodiscard]] Error context(std::string_view what) const;

  // The error for the current errno: the code is no_space for ENOSPC and EDQUOT,
  // not_found for ENOENT, io otherwise.
  static Error from_errno(std::string_view what);

 private:
  ErrorCode code_;
  std::string message_;
};

template <class T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

// `return fail(ErrorCode::io, "...")` in a function that returns a Result.
inline tl::unexpected<Error> fail(ErrorCode code, std::string message) {
  return tl::unexpected<Error>(Error(code, std::move(message)));
}
inline tl::unexpected<Error> fail(Error error) {
  return tl::unexpected<Error>(std::move(error));
}

}  // namespace outcrop

// Return early with the error of `expression`; else bind its value to `name`.
// These two are the project's only macros with control flow.
#define OUTCROP_CONCAT_(a, b) a##b
#define OUTCROP_CONCAT(a, b) OUTCROP_CONCAT_(a, b)
#define OUTCROP_TRY(name, expression) \
  OUTCROP_TRY_(name, expression, OUTCROP_CONCAT(result_, __LINE__))
#define OUTCROP_TRY_(name, expression, result)                    \
  auto result = (expression);                                     \
  if (!result) return ::outcrop::fail(std::move(result).error()); \
  auto name = std::move(*result)
#define OUTCROP_CHECK(expression) OUTCROP_CHECK_(expression, OUTCROP_CONCAT(status_, __LINE__))
#define OUTCROP_CHECK_(expression, status) \
  if (auto status = (expression); !status) return ::outcrop::fail(std::move(status).error())
