#include "trainer_host/trainer/kinds/register.hpp"

#include "protocol/base/join.hpp"

namespace outcrop::kinds {

void Register::add(std::unique_ptr<const Kind> kind) {
  kinds_.push_back(std::move(kind));
}

Result<const Kind*> Register::find(std::string_view name) const {
  std::vector<std::string> names;
  for (const auto& kind : kinds_) {
    if (kind->name() == name) return kind.get();
    names.emplace_back(kind->name());
  }
  return fail(ErrorCode::invalid_argument,
              "there is no kind '" + std::string(name) + "'; there are: " + join(names));
}

}  // namespace outcrop::kinds
