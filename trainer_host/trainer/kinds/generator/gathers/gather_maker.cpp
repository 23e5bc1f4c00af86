#include "trainer_host/trainer/kinds/generator/gathers/gather_maker.hpp"

#include <array>

namespace outcrop::generator {
namespace {

struct Named {
  std::string_view name;
  GatherMaker maker;
};
constexpr std::array<Named, 4> known_makers{{{"decoder", GatherMaker::decoder},
                                    {"kirchhoff", GatherMaker::kirchhoff},
                                    {"wave", GatherMaker::wave},
                                    {"wave+net", GatherMaker::wave_net}}};

}  // namespace

std::string_view name_of(GatherMaker maker) {
  for (const Named& one : known_makers) {
    if (one.maker == maker) return one.name;
  }
  return "";
}

Result<GatherMaker> gather_maker(std::string_view name) {
  std::string known;
  for (const Named& one : known_makers) {
    if (one.name == name) return one.maker;
    known += (known.empty() ? "" : ", ") + std::string(one.name);
  }
  return fail(ErrorCode::invalid_argument,
              "'" + std::string(name) + "' makes no gathers; there are: " + known);
}

}  // namespace outcrop::generator
