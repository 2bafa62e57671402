"""Facts and small talk that need no image: [([phrasings of the question], marked answer)].

Marks are explained in text.py. Every word is determined by the question, so the marks are capitals.
"""

from world import NUMBERS, article

SOUNDS = {"cow": "moo", "cat": "meow", "dog": "woof", "duck": "quack", "pig": "oink", "goat": "baa", "horse": "neigh",
          "lion": "roar", "frog": "croak", "owl": "hoot", "snake": "hiss", "honeybee": "buzz", "crow": "caw", "mouse": "squeak"}
LEGS = {"spider": "eight", "ant": "six", "dog": "four", "duck": "two", "horse": "four", "chicken": "two", "fly": "six",
        "snake": "zero", "cow": "four", "octopus": "eight", "crab": "ten"}
YOUNG = {"dog": "puppy", "cat": "kitten", "cow": "calf", "horse": "foal", "bear": "cub", "duck": "duckling",
         "goat": "kid", "swan": "cygnet", "deer": "fawn", "sheep": "lamb", "frog": "tadpole", "kangaroo": "joey"}
HOMES = {"bird": "nest", "spider": "web", "king": "castle", "dog": "kennel", "horse": "stable", "bee": "hive", "bear": "den",
         "nun": "convent", "pig": "sty", "rabbit": "burrow"}
OPPOSITES = {"hot": "cold", "big": "small", "up": "down", "day": "night", "old": "young", "wet": "dry", "fast": "slow",
             "open": "closed", "happy": "sad", "full": "empty", "early": "late", "hard": "soft", "rich": "poor",
             "light": "heavy", "loud": "quiet", "north": "south", "east": "west", "first": "last", "left": "right"}
CAPITALS = {"France": "Paris", "Italy": "Rome", "Spain": "Madrid", "Japan": "Tokyo", "Germany": "Berlin", "Egypt": "Cairo",
            "Greece": "Athens", "Norway": "Oslo", "Russia": "Moscow", "England": "London", "Austria": "Vienna",
            "Portugal": "Lisbon", "Poland": "Warsaw", "Cuba": "Havana", "Peru": "Lima", "Kenya": "Nairobi"}
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
LETTERS = "A B C D E F G H I J K L".split()
COLORS_OF = {"grass": "green", "snow": "white", "coal": "black", "blood": "red", "a clear sky": "blue", "a ripe lemon": "yellow"}
OTHER = [
    (["What do bees make?", "What food do bees make?"], "Honey|X."),
    (["What do cows give us to drink?"], "Milk|X."),
    (["What do we use to open a lock?"], "A key|X."),
    (["What do plants need to grow?"], "Plants need water|X, light|X and soil|X."),
    (["What is frozen water called?"], "Ice|X."),
    (["Which planet do we live on?", "What is the name of our planet?"], "We live on the Earth|X."),
    (["What shines in the sky by day?"], "The sun|O shines in the sky by day."),
    (["How many days are in a week?"], "There are seven|N days in a week."),
    (["How many months are in a year?"], "There are twelve|N months in a year."),
    (["How many hours are in a day?"], "Twenty-four|N hours."),
    (["How many wheels does a bicycle have?"], "Two|N."),
    (["How many sides does a triangle have?"], "Three|N."),
    (["How many sides does a square have?"], "Four|N."),
    (["What do you call a baker's product?"], "Bread|X."),
    (["Which season comes after winter?"], "Spring|X comes after winter."),
    (["Which season comes after summer?"], "Autumn|X comes after summer."),
    (["What do you wear on your feet?"], "You wear shoes|X on your feet."),
    (["What is the largest ocean?"], "The Pacific|X Ocean."),
    (["What is the highest mountain on the Earth?"], "Mount Everest|X."),
    (["At what temperature does water boil?"], "Water boils at one hundred degrees."),
    (["What do you use an umbrella for?"], "An umbrella keeps you dry in the rain."),
    (["What does a doctor do?"], "A doctor helps people who are ill."),
    (["What does a baker do?"], "A baker makes bread."),
    (["Why do people sleep?"], "People sleep to rest."),
    (["What is a volcano?"], "A volcano is a mountain that throws out hot rock."),
    (["What is an island?"], "An island is land with water all around it."),
    (["What is a library?"], "A library is a place full of books."),
]
PRIOR = (
    [([f"What sound does {article(k)} {k} make?", f"Which sound comes from {article(k)} {k}?"], f"{v.capitalize()}|X.")
     for k, v in SOUNDS.items()]
    + [([f"How many legs does {article(k)} {k} have?"], f"{article(k).capitalize()} {k} has {v}|N legs.") for k, v in LEGS.items()]
    + [([f"What is a young {k} called?"], f"A young {k} is called a {v}|X.") for k, v in YOUNG.items()]
    + [([f"Where does a {k} live?"], f"A {k} lives in a {v}|X.") for k, v in HOMES.items()]
    + [([f"What is the opposite of {k}?", f"Name the opposite of {k}."], f"The opposite of {k} is {v}|X.") for k, v in OPPOSITES.items()]
    + [([f"What is the capital of {k}?", f"Which city is the capital of {k}?"], f"{v}|X.") for k, v in CAPITALS.items()]
    + [([f"Which day comes after {a}?"], f"{b}|X comes after {a}.") for a, b in zip(DAYS, DAYS[1:] + DAYS[:1])]
    + [([f"Which month comes after {a}?"], f"{b}|X.") for a, b in zip(MONTHS, MONTHS[1:] + MONTHS[:1])]
    + [([f"Which letter comes after {a}?"], f"{b}|X.") for a, b in zip(LETTERS, LETTERS[1:])]
    + [([f"What color is {k}?"], f"{v.capitalize()}|C.") for k, v in COLORS_OF.items()]
    + OTHER
)

CHAT = [
    (["Hello!", "Hello there.", "Hi!"], "Hello! How can I help you?"),
    (["Good morning.", "Good morning to you."], "Good morning! What would you like to know?"),
    (["Good night.", "Good night to you."], "Good night! Sleep well."),
    (["Thank you.", "Thanks.", "Thank you very much.", "Thanks a lot."], "You are welcome."),
    (["Goodbye.", "See you later.", "Bye."], "Goodbye! Come back soon."),
    (["Can you help me?", "I need some help."], "Of course. What do you need?"),
    (["How are you?", "How are you today?"], "I am well, thank you. How are you?"),
    (["Who are you?", "What are you?"], "I am a small language model that looks at pictures."),
    (["Please wait.", "One moment, please."], "Sure, take your time."),
    (["That was great.", "Well done!", "Good answer."], "I am glad that you like it."),
    (["I am sorry.", "Sorry about that."], "No problem at all."),
    (["Tell me a joke.", "Make me laugh."], "Why did the chicken cross the road? To get to the other side."),
    (["I am tired.", "I feel tired today."], "Then you should rest for a while."),
    (["I am bored.", "There is nothing to do."], "How about a walk outside?"),
    (["What can you do?", "What are you able to do?"], "I can describe pictures and answer simple questions."),
    (["Are you a person?", "Are you human?"], "No, I am a computer program."),
    (["Let us stop here.", "That is all for now."], "All right. It was nice to talk to you."),
    (["I have a question.", "May I ask something?"], "Please go ahead and ask."),
    (["What is your name?", "Do you have a name?"], "I do not have a name."),
    (["Have a nice day.", "Enjoy your day."], "Thank you, the same to you."),
]


def arithmetic(rng):
    """A sum or a difference within twelve."""
    words = NUMBERS + ["seven", "eight", "nine", "ten", "eleven", "twelve"]
    a, b = rng.randint(1, 6), rng.randint(1, 6)
    if rng.random() < 0.5:
        return f"What is {words[a]} plus {words[b]}?", f"{words[a].capitalize()} plus {words[b]} is {words[a + b]}|N."
    a, b = max(a, b), min(a, b)
    return f"What is {words[a]} minus {words[b]}?", f"{words[a].capitalize()} minus {words[b]} is {words[a - b]}|N."
