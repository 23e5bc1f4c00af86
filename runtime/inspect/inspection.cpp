#include "runtime/inspect/inspection.hpp"

#include <set>

#include "protocol/base/join.hpp"

namespace outcrop::runtime {

Status check_operators(const Inspection& inspection, std::span<const std::string> allowed) {
  const std::set<std::string_view> permitted(allowed.begin(), allowed.end());
  std::vector<std::string> others;
  for (const std::string& name : inspection.operators) {
    if (!permitted.contains(name)) others.push_back(name);
  }
  if (others.empty()) return {};
  return fail(ErrorCode::refused, "the model would execute " + join(others) +
                                      (others.size() == 1 ? ", which is" : ", which are") +
                                      " not among the operators that its manifest names");
}

}  // namespace outcrop::runtime
