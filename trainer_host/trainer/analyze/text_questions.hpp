#pragma once

#include <filesystem>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/analyze/questions.hpp"

namespace outcrop::analyze {

// Whether `data` has texts for each of some classes (kinds/text/text_source.hpp), and no rows: a table, or a folder with folders.
[[nodiscard]] bool are_texts(const std::filesystem::path& data);

// Its texts, those to test with where it has such, cut as the golden inputs in one of `folders` say, with their classes as
// targets. not_found where none of these tells how texts are cut; invalid_argument where the model has no such method or takes
// more than ids; invalid_data for a text of a class that the model does not know. Errors of TextSource.
[[nodiscard]] Result<Questions> read_texts(const AnalyzedModel& model, const std::filesystem::path& data,
                                           const std::vector<std::filesystem::path>& folders, const std::string& method);

}  // namespace outcrop::analyze
