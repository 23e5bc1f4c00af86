#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/kinds/kind.hpp"

namespace outcrop::kinds {

// The kinds that a program knows, in the order of its help. Filled before anything is read; read from
// any thread afterwards.
class Register {
 public:
  void add(std::unique_ptr<const Kind> kind);

  [[nodiscard]] const std::vector<std::unique_ptr<const Kind>>& all() const { return kinds_; }
  // invalid_argument without such a kind, with those that there are.
  [[nodiscard]] Result<const Kind*> find(std::string_view name) const;
  // The one that a configuration without model.kind has: the first.
  [[nodiscard]] const Kind& usual() const { return *kinds_.front(); }

 private:
  std::vector<std::unique_ptr<const Kind>> kinds_;
};

// All kinds of Outcrop's own.
[[nodiscard]] Register built_in();

}  // namespace outcrop::kinds
