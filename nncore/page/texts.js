// The page's texts in English and Korean, and the language in use.

const TEXTS = {
  en: {
    language: "English",
    theme: "Colours",
    system: "as the system",
    light: "light",
    dark: "dark",
    // the network and its steps
    network: "Network",
    inputLayer: "Input",
    hiddenLayer: "Hidden layer {number}",
    outputLayer: "Output layer",
    nodes: "{count} nodes",
    oneNode: "1 node",
    reset: "Start again",
    back: "Step back",
    play: "Play",
    playAgain: "Play again",
    pause: "Pause",
    step: "Step",
    nextLayer: "Next layer",
    computeAll: "Whole network",
    speed: "Speed",
    slow: "slow",
    normal: "normal",
    fast: "fast",
    progress: "Steps done",
    nothingComputed: "Nothing is computed yet. Press Step, and the first node computes its sum and its activation.",
    nodeComputed: "Step {position} of {count}: {layer}, node {node}. The weighted sum is {sum}; {activation} gives {value}.",
    sumComputed: "Step {position} of {count}: {layer}, node {node}. The weighted sum is {sum}; {activation} waits for the other sums.",
    restComputed: "Step {position} of {count}: {layer}. The other {others} nodes compute in the same way.",
    sharesComputed: "Step {position} of {count}: {layer}. {activation} turns all sums together into the outputs.",
    inputNode: "{layer} {node}: {value}",
    emptyNode: "{layer}, node {node}: not computed yet",
    summedNode: "{layer}, node {node}: weighted sum {sum}",
    doneNode: "{layer}, node {node}: weighted sum {sum}, activation {value}",
    legend: "Blue is positive, orange and dashed is negative. The stronger the colour and the wider the line, the larger the number, compared with its own layer.",
    // one node
    node: "Node",
    nodeTitle: "{layer}, node {node} of {count}",
    classTitle: "{layer}, node {node} of {count}: {name}",
    nodeNumber: "Node number",
    chooseNode: "Choose a node, or press Step: its terms, its sum and its activation are shown here.",
    computeTo: "Compute up to this node",
    weightedSum: "Weighted sum",
    sumFormula: "sum = bias + input × weight + input × weight + …",
    sumFormulaWithoutBias: "sum = input × weight + input × weight + …",
    input: "Input",
    value: "Value",
    weight: "Weight",
    product: "Product",
    runningSum: "Sum so far",
    bias: "Bias",
    noBias: "No bias",
    sum: "Sum",
    nodeOf: "Node {node}",
    pixel: "Pixel: row, column",
    rounding: "After each term the sum is rounded to {dtype}.",
    largestTerms: "The {shown} largest of {count} terms come first.",
    otherTerms: "Other {count} terms",
    allTerms: "Show all {count} terms in order",
    fewTerms: "Show the largest terms",
    activation: "Activation",
    weights: "Weights",
    products: "Pixel × weight",
    class: "Output",
    sharesNote: "The largest sum, {highest}, is subtracted from every sum first, so that no exponential overflows.",
    total: "Total",
    // the functions of the layers
    functions: "Activation functions",
    functionsHint: "Choose another function for a layer: everything is computed again.",
    changed: "Changed: {changes}.",
    changedLayer: "{layer} has {now} instead of {before}",
    changedInput: "the input",
    comma: ", ",
    restore: "Restore the original",
    // input and prediction
    inputs: "Input",
    firstInput: "Back to the first input",
    rescaled: "The network multiplies each input by {scale} first.",
    shifted: "The network multiplies each input by {scale} and adds {offset} first.",
    normalized: "The network subtracts a mean from each input and divides it by a standard deviation first.",
    numbers: "{count} numbers, with commas or spaces between them",
    noNumber: "“{word}” is no number.",
    otherCount: "There are {given} numbers, expected {count}.",
    canvas: "Drawing",
    pen: "Pen",
    eraser: "Eraser",
    clear: "Clear",
    centre: "Centre the drawing as MNIST does",
    centreHint: "On an empty sheet, the drawing is scaled to 20 of 28 pixels and moved until its centre of mass is in the middle. The network is given that image, which stands beside its nodes.",
    how: "How to draw",
    drawHow: "Draw with mouse, finger or pen. With the keyboard: the arrow keys move the cursor, space draws a dot, shift with an arrow key draws a line.",
    prediction: "Prediction",
    predicted: "Predicted:",
    none: "none",
    largestOutputs: "The {shown} largest of {count} outputs.",
    sameBits: "For the first input this page computes the same bits as nncore.",
    within: "For the first input this page's outputs are within {distance} ulp (units in the last place) of nncore's.",
    madeBy: "Made by nncore {version}. The network computes in {dtype}; numbers are shown with 8 significant digits.",
  },
  ko: {
    language: "한국어",
    theme: "색상",
    system: "시스템 설정",
    light: "밝게",
    dark: "어둡게",
    network: "신경망",
    inputLayer: "입력층",
    hiddenLayer: "은닉층 {number}",
    outputLayer: "출력층",
    nodes: "노드 {count}개",
    oneNode: "노드 1개",
    reset: "처음으로",
    back: "이전 단계",
    play: "재생",
    playAgain: "다시 재생",
    pause: "일시 정지",
    step: "다음 단계",
    nextLayer: "다음 층",
    computeAll: "전체 계산",
    speed: "속도",
    slow: "느리게",
    normal: "보통",
    fast: "빠르게",
    progress: "진행한 단계",
    nothingComputed: "아직 아무것도 계산하지 않았습니다. ‘다음 단계’를 누르면 첫 번째 노드가 가중합과 활성화 함수의 출력을 계산합니다.",
    nodeComputed: "{count}단계 중 {position}단계: {layer}, 노드 {node}. 가중합은 {sum}이고, {activation} 함수의 출력은 {value}입니다.",
    sumComputed: "{count}단계 중 {position}단계: {layer}, 노드 {node}. 가중합은 {sum}입니다. {activation} 함수는 다른 가중합을 기다립니다.",
    restComputed: "{count}단계 중 {position}단계: {layer}. 나머지 노드 {others}개도 같은 방법으로 계산합니다.",
    sharesComputed: "{count}단계 중 {position}단계: {layer}. {activation} 함수가 모든 가중합으로 출력을 한꺼번에 계산합니다.",
    inputNode: "{layer} {node}: {value}",
    emptyNode: "{layer}, 노드 {node}: 아직 계산하지 않았습니다",
    summedNode: "{layer}, 노드 {node}: 가중합 {sum}",
    doneNode: "{layer}, 노드 {node}: 가중합 {sum}, 출력 {value}",
    legend: "파란색은 양수, 주황색과 점선은 음수입니다. 같은 층에서 값이 클수록 색이 진하고 선이 굵습니다.",
    node: "노드",
    nodeTitle: "{layer}, 노드 {count}개 중 {node}번",
    classTitle: "{layer}, 노드 {count}개 중 {node}번: {name}",
    nodeNumber: "노드 번호",
    chooseNode: "노드를 고르거나 ‘다음 단계’를 누르면 항, 가중합, 활성화 함수의 출력이 여기에 나옵니다.",
    computeTo: "이 노드까지 계산하기",
    weightedSum: "가중합",
    sumFormula: "가중합 = 편향 + 입력 × 가중치 + 입력 × 가중치 + …",
    sumFormulaWithoutBias: "가중합 = 입력 × 가중치 + 입력 × 가중치 + …",
    input: "입력",
    value: "값",
    weight: "가중치",
    product: "곱",
    runningSum: "지금까지의 합",
    bias: "편향",
    noBias: "편향 없음",
    sum: "가중합",
    nodeOf: "노드 {node}",
    pixel: "픽셀: 행, 열",
    rounding: "항을 하나 더할 때마다 합을 {dtype}로 반올림합니다.",
    largestTerms: "항 {count}개 중 크기가 큰 {shown}개를 먼저 보여 줍니다.",
    otherTerms: "나머지 항 {count}개",
    allTerms: "항 {count}개를 순서대로 모두 보기",
    fewTerms: "큰 항만 보기",
    activation: "활성화 함수",
    weights: "가중치",
    products: "픽셀 × 가중치",
    class: "출력",
    sharesNote: "지수 함수가 오버플로를 일으키지 않도록 모든 가중합에서 최댓값 {highest}을(를) 먼저 뺍니다.",
    total: "합계",
    functions: "활성화 함수",
    functionsHint: "층의 활성화 함수를 바꾸면 모든 값을 다시 계산합니다.",
    changed: "바뀐 것: {changes}.",
    changedLayer: "{layer}: {before} → {now}",
    changedInput: "입력",
    comma: ", ",
    restore: "원래대로 되돌리기",
    inputs: "입력",
    firstInput: "처음 입력으로 되돌리기",
    rescaled: "신경망은 먼저 각 입력에 {scale}을(를) 곱합니다.",
    shifted: "신경망은 먼저 각 입력에 {scale}을(를) 곱하고 {offset}을(를) 더합니다.",
    normalized: "신경망은 먼저 각 입력에서 평균을 빼고 표준편차로 나눕니다.",
    numbers: "숫자 {count}개 (쉼표나 공백으로 구분)",
    noNumber: "‘{word}’은(는) 숫자가 아닙니다.",
    otherCount: "숫자가 {given}개 있습니다. {count}개가 필요합니다.",
    canvas: "그림판",
    pen: "펜",
    eraser: "지우개",
    clear: "모두 지우기",
    centre: "MNIST처럼 가운데로 맞추기",
    centreHint: "빈 그림판에 그린 그림은 28픽셀 중 20픽셀에 들어가도록 크기를 바꾸고, 무게중심이 한가운데에 오도록 옮깁니다. 신경망에는 그렇게 만든 이미지가 들어가며, 노드 옆에서 볼 수 있습니다.",
    how: "그리는 방법",
    drawHow: "마우스, 손가락, 펜으로 그립니다. 키보드로는 방향키로 커서를 옮기고, 스페이스 키로 점을 찍고, Shift와 방향키로 선을 긋습니다.",
    prediction: "예측",
    predicted: "예측 결과:",
    none: "없음",
    largestOutputs: "출력 {count}개 중 가장 큰 {shown}개입니다.",
    sameBits: "첫 입력에 대해 이 페이지의 출력은 nncore의 출력과 비트까지 같습니다.",
    within: "첫 입력에 대해 이 페이지의 출력은 nncore의 출력과 최대 {distance} ulp(마지막 자리 단위) 차이가 납니다.",
    madeBy: "nncore {version}(으)로 만들었습니다. 신경망은 {dtype}로 계산하며, 숫자는 유효 숫자 8자리로 보여 줍니다.",
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

// told(element("h2"), "network"): the node with that text, in whatever language is in use; instead of
// a key, a function that returns the text.
function told(node, words) {
  onLanguage(() => {
    node.textContent = typeof words === "function" ? words() : text(words);
  });
  return node;
}

// A button with that text.
function button(words, onclick, attributes = {}) {
  return told(element("button", { type: "button", onclick, ...attributes }), words);
}

function hint(words, attributes = {}) {
  return told(element("p", { class: "hint", ...attributes }), words);
}

function toldLabel(node, key) {
  onLanguage(() => node.setAttribute("aria-label", text(key)));
}

function setLanguage(name) {
  language = name;
  document.documentElement.lang = name;
  for (const write of retold) write();
}

// The name of a column of the graph: 0 is the input.
function layerName(c) {
  if (c === 0) return text("inputLayer");
  return c === columns.length - 1 ? text("outputLayer") : text("hiddenLayer", { number: c });
}
