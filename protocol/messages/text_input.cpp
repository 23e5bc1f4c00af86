#include "protocol/messages/text_input.hpp"

#include "protocol/base/json_text.hpp"
#include "protocol/messages/json_reader.hpp"

namespace outcrop::messages {
namespace {

constexpr std::uint64_t longest_text = 4096;  // ids
constexpr std::size_t most_text_classes = 256;

}  // namespace

std::string to_json(const TextInput& text) {
  return json_text(Json{{"input", text.input},
                        {"length", text.length},
                        {"cased", text.cased},
                        {"vocabulary", text.vocabulary},
                        {"output", text.output},
                        {"classes", text.classes}});
}

Result<TextInput> parse_text_input(std::string_view json) {
  OUTCROP_TRY(object, parse_object(json, text_input_limit, "text"));
  ObjectReader reader(object, "text");
  TextInput text;
  text.input = reader.text("input");
  text.length = reader.integer("length", 2, longest_text);
  text.cased = reader.boolean("cased");
  text.vocabulary = reader.lines("vocabulary", text_input_limit.value());
  text.output = reader.text("output");
  text.classes = reader.texts("classes", most_text_classes);
  if (reader.ok() && text.classes.size() < 2) reader.refuse("classes", "must be two at least");
  reader.done();
  OUTCROP_CHECK(reader.status());
  return text;
}

}  // namespace outcrop::messages
