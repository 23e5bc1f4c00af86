#include "protocol/messages/text_input.hpp"

#include <gmock/gmock.h>

#include <functional>

#include "protocol/messages/json_reader.hpp"
#include "tests/support/result_matchers.hpp"

namespace outcrop::messages {
namespace {

using ::testing::HasSubstr;

TextInput good_text() {
  return {"ids", 128, true, "[PAD]\n[UNK]\n[CLS]\n[SEP]\nß\n\"\n", "probabilities", {"food", "weather"}};
}

TEST(TextInput, is_read_as_it_was_written) {
  const auto read = parse_text_input(to_json(good_text()));
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(*read, good_text());
}

TEST(TextInput, refuses_what_means_nothing) {
  const auto refuses = [](const std::function<void(Json&)>& change, const std::string& words) {
    Json json = Json::parse(to_json(good_text()));
    change(json);
    EXPECT_THAT(parse_text_input(json.dump()), ErrorIs(ErrorCode::invalid_data, HasSubstr(words)));
  };
  refuses([](Json& json) { json["length"] = 1; }, "text.length");
  refuses([](Json& json) { json["length"] = 5000; }, "text.length");
  refuses([](Json& json) { json["classes"] = Json::array({"one"}); }, "text.classes");
  refuses([](Json& json) { json.erase("vocabulary"); }, "text.vocabulary");
  refuses([](Json& json) { json["more"] = 1; }, "text.more");
  refuses([](Json& json) { json["vocabulary"] = std::string(1'000'000, 'x'); }, "text");
}

}  // namespace
}  // namespace outcrop::messages
