#include "protocol/messages/layers.hpp"

#include <gmock/gmock.h>

#include <functional>

#include "protocol/messages/command.hpp"
#include "protocol/messages/json_reader.hpp"
#include "protocol/messages/refused_for_tests.hpp"

namespace outcrop::messages {
namespace {

using std::chrono::nanoseconds;

Layers some_layers() {
  Layers layers;
  layers.header = {"pi-1", 7, 9, Timestamp(std::chrono::seconds(1'800'000'000)), true};
  layers.device_class = "raspberry-pi-4";
  layers.engine = "torch";
  layers.engine_version = "1.13.1";
  layers.manifest = trust::sha256("m");
  layers.variants = {{"float", "", 25, {{"aten::conv2d", nanoseconds(31'000)}, {"aten::relu", nanoseconds(0)}, {"aten::conv2d", nanoseconds(9)}}},
                     {"int8-qint8", "the proof failed", 0, {}}};
  return layers;
}

Result<Layers> changed_layers(const std::function<void(Json&)>& change) {
  Json json = Json::parse(to_json(some_layers()));
  change(json);
  const std::string text = json.dump();
  return parse_layers(as_bytes(text));
}

TEST(LayerTimes, read_as_they_were_written_each_name_once) {
  const std::string text = to_json(some_layers());
  EXPECT_EQ(text.find("aten::conv2d"), text.rfind("aten::conv2d"));
  const auto back = parse_layers(as_bytes(text));
  ASSERT_THAT(back, IsOk());
  EXPECT_EQ(*back, some_layers());
}

TEST(LayerTimes, refuse_what_cannot_be) {
  const auto times = [](Json values) {
    return changed_layers([&](Json& j) { j["variants"][0]["times"] = std::move(values); });
  };
  const auto at_times = refused("layers.variants[0].times");
  EXPECT_THAT(times({0, -1}), at_times);
  EXPECT_THAT(times({0, 1.5}), at_times);
  EXPECT_THAT(times({0, nullptr}), at_times);  // what a NaN is in JSON
  EXPECT_THAT(times({0, 3600e9 + 1}), at_times);
  EXPECT_THAT(times({2, 1}), at_times) << "there are two names";
  EXPECT_THAT(times({-1, 1}), at_times);
  EXPECT_THAT(times({0.5, 1}), at_times);
  EXPECT_THAT(times({0, 1, 0}), at_times);
  EXPECT_THAT(times(Json::array()), at_times) << "and no reason";
  EXPECT_THAT(changed_layers([](Json& j) { j["variants"][0]["reason"] = "void"; }), at_times) << "and times all the same";
  EXPECT_THAT(changed_layers([](Json& j) { j["variants"][0]["operators"][0] = "aten::\u001b[31m"; }), refused("layers.variants[0].operators"));
  EXPECT_THAT(changed_layers([](Json& j) { j["variants"][0]["operators"] = Json(257, "aten::relu"); }), refused("layers.variants[0].operators"));
  EXPECT_THAT(changed_layers([](Json& j) { j["variants"] = Json::array(); }), refused("layers.variants"));
  EXPECT_THAT(changed_layers([](Json& j) { j["variants"][0]["name"] = "Float"; }), refused("layers.variants[0].name"));
  EXPECT_THAT(changed_layers([](Json& j) { j["heat"] = 1; }), refused("layers.heat: is an unknown key"));
}

TEST(LayerTimes, are_bounded_over_all_variants) {
  Json many = Json::array();
  for (std::size_t i = 0; i < most_operators_told / 2; ++i) many.insert(many.end(), {0, 1});
  const auto twice = [&](Json second) {
    return changed_layers([&](Json& j) {
      j["variants"][0]["times"] = many;
      j["variants"][1] = j["variants"][0];
      j["variants"][1]["times"] = std::move(second);
    });
  };
  EXPECT_THAT(twice(many), IsOk());
  Json more = many;
  more.insert(more.end(), {0, 1});
  EXPECT_THAT(twice(std::move(more)), refused("layers.variants"));
}

TEST(LayerTimes, are_asked_for_from_protocol_6_on) {
  Measure measure{trust::sha256("m")};
  EXPECT_EQ(to_json(measure).find("layers"), std::string::npos) << "boards of before know no such key";
  measure.layers = true;
  EXPECT_THAT(parse_command(to_json(measure)), refused("measure.layers: is an unknown key"));
  measure.protocol = layers_since;
  EXPECT_EQ(std::get<Measure>(*parse_command(to_json(measure))), measure);
}

}  // namespace
}  // namespace outcrop::messages
