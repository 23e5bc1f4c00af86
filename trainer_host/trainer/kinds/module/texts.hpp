#pragma once

#include "protocol/messages/text_input.hpp"
#include "trainer_host/trainer/kinds/module/foreign_module.hpp"
#include "trainer_host/trainer/kinds/module/rows.hpp"
#include "trainer_host/trainer/kinds/takes_texts.hpp"

namespace outcrop::user_module {

// How boards ask `foreign` by a text, by `rows` of ids that it takes. unsupported unless it takes ids [rows, length] alone
// and its first answer is a probability for each class; invalid_data where the vocabulary is wrong (Vocabulary::parse) or has
// fewer pieces than the rows, or more than the module, have ids.
[[nodiscard]] Result<messages::TextInput> text_input_of(const kinds::TextWords& words, ForeignModule& foreign, const Rows& rows);

}  // namespace outcrop::user_module
