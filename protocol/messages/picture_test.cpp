#include "protocol/messages/picture.hpp"

#include <gmock/gmock.h>

#include <functional>

#include "protocol/messages/command.hpp"
#include "protocol/messages/json_reader.hpp"
#include "protocol/messages/refused_for_tests.hpp"

namespace outcrop::messages {
namespace {

using ::testing::HasSubstr;

Picture some_picture() {
  Picture picture;
  picture.header = {"pi-1", 7, 9, Timestamp(std::chrono::seconds(1'800'000'000)), true};
  picture.manifest = trust::sha256("m");
  picture.variant = "int8-qint8";
  picture.drawn = Picture::Drawn{"velocity", {1, 1, 2, 3}, 1500, 4500, std::string("\x00\x01\x7f\x80\xfe\xff", 6)};
  return picture;
}

Result<Picture> read_picture(const std::string& text) {
  return parse_picture(as_bytes(text));
}

auto with_picture(const std::function<void(Json&)>& change) {
  Json json = Json::parse(to_json(some_picture()));
  change(json);
  return read_picture(json.dump());
}
auto with_drawn(const std::function<void(Json&)>& change) {
  return with_picture([&](Json& j) { change(j["drawn"]); });
}

TEST(Picture, reads_as_it_was_written) {
  const auto back = read_picture(to_json(some_picture()));
  ASSERT_THAT(back, IsOk());
  EXPECT_EQ(*back, some_picture());
  EXPECT_EQ(back->drawn->value(0), 1500);
  EXPECT_EQ(back->drawn->value(5), 4500);
}

TEST(Picture, that_was_not_drawn_says_why) {
  Picture none = some_picture();
  none.drawn.reset();
  none.variant.clear();
  none.why = "it draws no picture";
  const auto back = read_picture(to_json(none));
  ASSERT_THAT(back, IsOk());
  EXPECT_EQ(*back, none);
}

TEST(Picture, of_a_large_map_has_every_so_many_rows_and_columns) {
  EXPECT_EQ(grid_of({70, 128}), (Grid{70, 128, 1, 1}));
  EXPECT_EQ(grid_of({1, 5, 1000, 70}), (Grid{125, 70, 8, 1}));
  EXPECT_EQ(grid_of({129, 256}), (Grid{65, 128, 2, 2}));
  EXPECT_EQ(grid_of({std::int64_t{1} << 31, 2})->rows, 128U);
  EXPECT_EQ(grid_of({10}), std::nullopt);
  EXPECT_EQ(grid_of({1, 10}), std::nullopt);
}

TEST(Picture, of_the_largest_size_fits_into_its_limit) {
  Picture large = some_picture();
  large.drawn->shape = {1, 1, 1'000'000, 128};
  large.drawn->gray.assign(grid_of(large.drawn->shape)->points(), '\x55');
  large.drawn->output.assign(63, 'o');
  large.header.device.assign(63, 'd');
  const std::string text = to_json(large);
  EXPECT_LT(text.size(), picture_limit.value());
  EXPECT_THAT(read_picture(text), IsOk());
}

TEST(Picture, refuses_what_cannot_be) {
  EXPECT_THAT(with_drawn([](Json& j) { j["shape"] = {1, 2, 2}; }), refused("picture.drawn.gray"));
  EXPECT_THAT(with_drawn([](Json& j) { j["shape"] = {6}; }), refused("picture.drawn.shape"));
  EXPECT_THAT(with_drawn([](Json& j) { j["shape"] = {6, 1}; }), refused("picture.drawn.shape"));
  EXPECT_THAT(with_drawn([](Json& j) { j["shape"] = {-2, 3}; }), refused("picture.drawn.shape"));
  EXPECT_THAT(with_drawn([](Json& j) { j["shape"] = Json::array(); }), refused("picture.drawn.shape"));
  EXPECT_THAT(with_drawn([](Json& j) { j["shape"] = {std::uint64_t{1} << 40, 3}; }), refused("picture.drawn.shape"));
  EXPECT_THAT(with_drawn([](Json& j) { j["max"] = 1499; }), refused("picture.drawn.max"));
  EXPECT_THAT(with_drawn([](Json& j) { j["min"] = -1e39; }), refused("picture.drawn.min"));
  EXPECT_THAT(with_drawn([](Json& j) { j["min"] = nullptr; }), refused("picture.drawn.min"));
  EXPECT_THAT(with_drawn([](Json& j) { j["gray"] = "AAF/gP7"; }), refused("picture.drawn.gray"));
  EXPECT_THAT(with_drawn([](Json& j) { j["gray"] = std::string(21'849, 'A'); }), refused("picture.drawn.gray"));
  EXPECT_THAT(with_drawn([](Json& j) { j["gray"] = 7; }), refused("picture.drawn.gray"));
  EXPECT_THAT(with_drawn([](Json& j) { j["colour"] = true; }), refused("picture.drawn.colour"));
  EXPECT_THAT(with_picture([](Json& j) { j["why"] = "both"; }), refused("picture.why"));
  EXPECT_THAT(with_picture([](Json& j) { j["variant"] = ""; }), refused("picture.variant"));
  EXPECT_THAT(with_picture([](Json& j) { j["drawn"] = nullptr; }), refused("picture.variant"));
  EXPECT_THAT(with_picture([](Json& j) { j["manifest"] = ""; }), refused("picture.manifest"));
  EXPECT_THAT(with_picture([](Json& j) { j["session"] = 0; }), refused("picture.session"));
  EXPECT_THAT(read_picture(std::string(picture_limit.value() + 1, ' ')), refused("picture"));
  std::string not_finite = to_json(some_picture());
  not_finite.replace(not_finite.find("1500.0"), 6, "NaN");
  EXPECT_FALSE(read_picture(not_finite));
  not_finite = to_json(some_picture());
  not_finite.replace(not_finite.find("1500.0"), 6, "1e999");
  EXPECT_FALSE(read_picture(not_finite));
}

TEST(Picture, is_asked_for_by_a_command_that_programs_before_do_not_know) {
  const Command command = Draw{trust::sha256("m"), std::chrono::seconds(60)};
  EXPECT_TRUE(is_asked(command));
  const auto back = parse_command(to_json(command));
  ASSERT_THAT(back, IsOk());
  EXPECT_EQ(*back, command);
  Json json = Json::parse(to_json(command));
  EXPECT_EQ(json["protocol"], 6);
  json["lasts_seconds"] = 0;
  EXPECT_THAT(parse_command(json.dump()), refused("draw.lasts_seconds"));
}

}  // namespace
}  // namespace outcrop::messages
