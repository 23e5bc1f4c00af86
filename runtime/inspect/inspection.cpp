#include "runtime/inspect/inspection.hpp"

#include <set>

namespace outcrop::runtime {

Status check_operators(const Inspection& inspection, std::span<const std::string> allowed) {
  const std::set<std::string_view> permitted(allowed.begin(), allowed.end());
  std::string others;
  std::size_t count = 0;
  for (const std::string& name : inspection.operators) {
    if (permitted.contains(name)) continue;
    ++count;
    others += (others.empty() ? "" : ", ") + name;
  }
  if (count == 0) return {};
  return fail(ErrorCode::refused, "the model would execute " + others +
                                      (count == 1 ? ", which is" : ", which are") +
                                      " not among the operators that its manifest names");
}

}  // namespace outcrop::runtime
