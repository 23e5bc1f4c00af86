#include "trainer_host/trainer/kinds/module/texts.hpp"

#include "runtime/text/vocabulary.hpp"
#include "trainer_host/trainer/kinds/answers_classes.hpp"

namespace outcrop::user_module {
namespace {

using torch::Tensor;

constexpr std::size_t asked_for_probabilities = 16;  // rows

Status check_takes_ids(const ForeignModule& foreign, const Rows& rows) {
  const Tensor& ids = rows.inputs.front();
  if (foreign.arguments.size() == 1 && ids.scalar_type() == torch::kLong && ids.dim() == 2) return {};
  return fail(ErrorCode::unsupported, "texts come as ids: forward must take one tensor, int64 [rows, length], whose filling (the id of [PAD]) "
                                      "it finds by itself");
}

// Of the rows, and of the module's own table: it is asked for the last piece.
Status check_ids(std::size_t pieces, ForeignModule& foreign, const Rows& rows) {
  const auto last = static_cast<std::int64_t>(pieces) - 1;
  const auto largest = rows.inputs.front().max().item<std::int64_t>();
  if (largest > last) {
    return fail(ErrorCode::invalid_data, "the rows have an id " + std::to_string(largest) + ", and the vocabulary ends at " +
                                             std::to_string(last) + ": it is another model's");
  }
  const auto answered = answer_checked(foreign, {torch::full({1, rows.inputs.front().size(1)}, last, torch::kLong)});
  if (answered) return {};
  return fail(answered.error().context("the vocabulary has " + std::to_string(pieces) + " pieces, and the module does not take the last one"));
}

Status check_probabilities(ForeignModule& foreign, const Rows& rows, std::size_t classes) {
  OUTCROP_TRY(answers, answer_checked(foreign, rows.slice(0, asked_for_probabilities).inputs));
  const Tensor& first = answers.front();
  if (first.dim() != 2 || !first.is_floating_point() || first.size(1) != static_cast<std::int64_t>(classes)) {
    return fail(ErrorCode::unsupported, "its first answer is " + c10::str(first.scalar_type(), " ", first.sizes()) + ", and --classes names " +
                                            std::to_string(classes) + ": a probability for each is wanted");
  }
  if (kinds::are_probabilities(first)) return {};
  return fail(ErrorCode::unsupported, "its answers are no probabilities (of a row they must sum to 1): let forward end with torch.softmax(x, 1)");
}

}  // namespace

Result<messages::TextInput> text_input_of(const kinds::TextWords& words, ForeignModule& foreign, const Rows& rows) {
  const torch::NoGradGuard no_gradient;
  OUTCROP_TRY(vocabulary, text::Vocabulary::read(words.vocabulary));
  OUTCROP_CHECK(check_takes_ids(foreign, rows));
  OUTCROP_CHECK(check_ids(vocabulary.size(), foreign, rows));
  OUTCROP_CHECK(check_probabilities(foreign, rows, words.classes.size()));
  messages::TextInput text{foreign.arguments.front(),
                           static_cast<std::uint64_t>(rows.inputs.front().size(1)),
                           words.cased,
                           text::to_text(vocabulary.pieces()),
                           foreign.outputs.front(),
                           words.classes};
  OUTCROP_CHECK(kinds::check_travels(text));
  return text;
}

}  // namespace outcrop::user_module
