#include "trainer_host/trainer/analyze/text_questions.hpp"

#include <algorithm>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/join.hpp"
#include "protocol/messages/text_input.hpp"
#include "runtime/engine/tensor_file.hpp"
#include "trainer_host/trainer/kinds/text/encoded_texts.hpp"
#include "trainer_host/trainer/kinds/text/text_source.hpp"

namespace outcrop::analyze {
namespace fs = std::filesystem;
namespace {

constexpr ByteCount largest_goldens = ByteCount::mib(256);
constexpr std::int64_t texts_at_once = 16;  // all that layers give is held for so many

Result<messages::TextInput> how_texts_are_cut(const std::vector<fs::path>& folders) {
  std::vector<std::string> places;
  for (const fs::path& folder : folders) {
    const fs::path file = folder / golden_inputs_file;
    places.push_back(file.string());
    std::error_code error;
    if (!fs::exists(file, error)) continue;
    OUTCROP_TRY(bytes, read_file(file, largest_goldens));
    const auto told = runtime::decode_tensor_metadata(bytes);
    if (!told) return fail(told.error().context(file.string()));
    const auto found = told->find(messages::text_metadata_key);
    if (found == told->end()) continue;
    auto text = messages::parse_text_input(found->second);
    if (!text) return fail(text.error().context(file.string()));
    if (!std::is_sorted(text->classes.begin(), text->classes.end())) {
      return fail(ErrorCode::invalid_data, file.string() + " names classes in another order than training does");
    }
    return text;
  }
  return fail(ErrorCode::not_found, "nothing beside the files says how texts are cut for the model: looked in " + join(places));
}

Status check_classes(const text::LabelledTexts& texts, const std::vector<std::string>& classes) {
  for (const text::LabelledText& one : texts) {
    if (std::binary_search(classes.begin(), classes.end(), one.label)) continue;
    return fail(ErrorCode::invalid_data, one.place + " is of the class '" + one.label + "', which the model does not know; there are " +
                                             join(classes));
  }
  return {};
}

}  // namespace

bool are_texts(const fs::path& data) {
  std::error_code error;
  if (!fs::is_directory(data, error)) return true;
  return std::any_of(fs::directory_iterator(data, error), fs::directory_iterator(),
                     [](const fs::directory_entry& entry) { return entry.is_directory(); });
}

Result<Questions> read_texts(const AnalyzedModel& model, const fs::path& data, const std::vector<fs::path>& folders,
                             const std::string& wanted) {
  OUTCROP_TRY(method, chosen_method(model, wanted));
  if (method.tensors.size() != 1) {
    return fail(ErrorCode::invalid_argument, method.text + " takes more than the ids of texts; give rows with --data");
  }
  OUTCROP_TRY(told, how_texts_are_cut(folders));
  OUTCROP_TRY(vocabulary, text::Vocabulary::parse(told.vocabulary));
  OUTCROP_TRY(source, text::TextSource::read(data, {}));
  const text::LabelledTexts& texts = source.test().empty() ? source.training() : source.test();
  OUTCROP_CHECK(check_classes(texts, told.classes));
  const text::Tokenizer tokenizer(std::move(vocabulary), told.cased ? text::Letters::as_written : text::Letters::lowered);
  const auto all = text::encode(texts, tokenizer, static_cast<std::int64_t>(told.length), told.classes);
  Questions questions{method, data.string(), {}, {}};
  for (std::int64_t first = 0; first < all.size(); first += texts_at_once) {
    questions.batches.push_back({all.ids.slice(0, first, first + texts_at_once).contiguous()});
    questions.targets.push_back(all.labels.slice(0, first, first + texts_at_once).contiguous());
  }
  return questions;
}

}  // namespace outcrop::analyze
