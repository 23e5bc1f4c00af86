#include "runtime/engine/torch/torch_error.hpp"

#include <new>
#include <string>

namespace outcrop::runtime {
namespace {

constexpr std::size_t longest_message = 600;

// The sentence that says what happened. In LibTorch's messages it is the first line; for errors
// raised inside a model's code it is the last one, after a traceback of that code.
std::string_view telling_line(std::string_view message) {
  constexpr std::string_view traceback = "Traceback of TorchScript";
  if (const auto raised = message.find("\nException raised from");
      raised != std::string_view::npos) {
    message = message.substr(0, raised);
  }
  while (!message.empty() && message.back() == '\n') message.remove_suffix(1);
  if (message.find(traceback) == std::string_view::npos) {
    return message.substr(0, message.find('\n'));
  }
  const auto last = message.rfind('\n');
  return last == std::string_view::npos ? message : message.substr(last + 1);
}

}  // namespace

Error torch_error(const std::exception& exception, std::string_view what, ErrorCode otherwise) {
  const std::string_view message = exception.what();
  const bool out_of_memory =
      dynamic_cast<const std::bad_alloc*>(&exception) != nullptr ||
      message.find("DefaultCPUAllocator: can't allocate memory") != std::string_view::npos ||
      message.find("DefaultCPUAllocator: not enough memory") != std::string_view::npos;
  std::string text(telling_line(message).substr(0, longest_message));
  if (text.empty()) text = "LibTorch gave no reason";
  return Error(out_of_memory ? ErrorCode::out_of_memory : otherwise, std::move(text)).context(what);
}

}  // namespace outcrop::runtime
