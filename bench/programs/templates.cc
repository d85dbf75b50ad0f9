// SPDX-License-Identifier: BSD-3-Clause
// templates.cc: keeps a C++ compiler busy, and growing, while its memory is looked at.
#include <algorithm>
#include <filesystem>
#include <functional>
#include <iostream>
#include <map>
#include <random>
#include <regex>
#include <sstream>
#include <thread>
#include <unordered_map>
#include <variant>
#include <vector>

template <int number> struct work {
    std::map<std::string, std::vector<std::variant<int, std::string, double>>> found;
    std::string run(const std::string &text)
    {
        std::regex expression("a+" + text + std::to_string(number));
        std::unordered_map<int, std::string> texts{{number, text}};
        std::smatch match;
        if (std::regex_search(text, match, expression))
            found[match.str(0)].push_back(number);
        std::vector<std::string> names;
        for (auto &entry : found)
            names.push_back(entry.first + texts[number]);
        std::sort(names.begin(), names.end(),
                  [](auto &a, auto &b) { return a.size() * number < b.size(); });
        return names.empty() ? work<number - 1>().run(text) : names[0];
    }
};

template <> struct work<0> {
    std::string run(const std::string &text)
    {
        return text;
    }
};

int main()
{
    std::cout << work<400>().run("x");
}
