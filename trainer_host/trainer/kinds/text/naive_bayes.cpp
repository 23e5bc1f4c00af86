#include "trainer_host/trainer/kinds/text/naive_bayes.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <unordered_map>

namespace outcrop::text {

torch::Tensor naive_bayes(const LabelledTexts& training, const LabelledTexts& judged,
                          const std::vector<std::string>& classes, Letters letters) {
  const std::size_t count = classes.size();
  std::unordered_map<std::string, std::vector<double>> times;  // of a word in each class
  std::vector<double> words(count, 0.0);
  std::vector<double> texts(count, 0.0);
  for (const LabelledText& one : training) {
    const auto label = static_cast<std::size_t>(std::lower_bound(classes.begin(), classes.end(), one.label) - classes.begin());
    texts[label] += 1.0;
    for (const std::string& word : words_of(one.text, letters)) {
      auto& of_word = times[word];
      of_word.resize(count);
      of_word[label] += 1.0;
      words[label] += 1.0;
    }
  }
  const auto different = static_cast<double>(times.size());
  auto answers = torch::zeros({static_cast<std::int64_t>(judged.size()), static_cast<std::int64_t>(count)});
  auto answer = answers.accessor<float, 2>();
  for (std::size_t i = 0; i < judged.size(); ++i) {
    std::vector<double> scores(count);
    for (std::size_t label = 0; label < count; ++label) scores[label] = std::log(std::max(texts[label], 1e-9));
    for (const std::string& word : words_of(judged[i].text, letters)) {
      const auto found = times.find(word);
      if (found == times.end()) continue;
      for (std::size_t label = 0; label < count; ++label) {
        scores[label] += std::log((found->second[label] + 1.0) / (words[label] + different));
      }
    }
    const auto best = std::max_element(scores.begin(), scores.end()) - scores.begin();
    answer[static_cast<std::int64_t>(i)][best] = 1.0F;
  }
  return answers;
}

}  // namespace outcrop::text
