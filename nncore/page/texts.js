// The page's texts in English and Korean, and the language in use.

const TEXTS = {
  en: {
    language: "English",
    theme: "Colours",
  },
  ko: {
    language: "한국어",
    theme: "색상",
  },
};

let language = (navigator.languages || [navigator.language]).some((name) => /^ko\b/i.test(name))
  && !/^en\b/i.test(navigator.language) ? "ko" : "en";
const retold = []; // functions that write the texts of their part of the page again

// text("inputs", { count: 3 }): "{count}" in the text is replaced.
function text(key, values = {}) {
  return TEXTS[language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

// onLanguage(write): calls write now, and whenever the reader chooses another language.
function onLanguage(write) {
  retold.push(write);
  write();
}

function setLanguage(name) {
  language = name;
  document.documentElement.lang = name;
  for (const write of retold) write();
}
